//! Checks on the source tree: layers, purity, sizes, and what must not stand in it. The tables below
//! are the rules; each finding says where and what to do.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::support::source::{self, Token};

/// What a module may import: modules of a lower number, and itself. The free layer imports anything.
const LAYERS: &[(u8, &[&str])] = &[
    (0, &["base"]),
    (1, &["llm"]),
    (2, &["wire", "catalog", "tokens", "store"]),
    (3, &["access", "identity", "guard", "limit", "cache", "target", "credential", "meter"]),
    (4, &["policy"]),
    (5, &["exchange"]),
    (6, &["world", "config", "telemetry", "render"]),
    (7, &["extproc", "admin", "mock", "doctor"]),
    (FREE, &["main", "cli", "app", "up"]),
];
const FREE: u8 = 8;

/// Below this layer a file is pure unless its first line begins with `//! [io]`.
const FIRST_OUTSIDE: u8 = 6;

/// Crates that a pure file may not name.
const IO_CRATES: &[&str] = &[
    "tokio",
    "tokio_stream",
    "tokio_util",
    "redis",
    "hyper",
    "hyper_util",
    "tonic",
    "tonic_health",
    "envoy_types",
    "kube",
];

/// What a pure file may not name of the standard library.
const IO_STD: &[&str] = &[
    "std::time::Instant",
    "std::time::SystemTime",
    "std::time::UNIX_EPOCH",
    "std::env",
    "std::fs",
    "std::process",
    "std::thread",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::os",
];

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;

/// Longer files: path and why.
const LONG_FILES: &[(&str, &str)] = &[];

/// Longer functions: path, name and why.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

/// Macros that must not stand in `src`.
const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];

/// Rows of the lint tables in Cargo.toml.
const LINTS: &[(&str, &str, &str)] = &[
    ("rust", "unsafe_code", "forbid"),
    ("clippy", "unwrap_used", "deny"),
    ("clippy", "expect_used", "deny"),
    ("clippy", "panic", "deny"),
    ("clippy", "print_stdout", "deny"),
    ("clippy", "print_stderr", "deny"),
    ("clippy", "allow_attributes", "deny"),
];

/// One source file, by its path from the root of the package.
struct File {
    path: String,
    text: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    what: String,
}

// === impl File ===

impl File {
    fn finding(&self, line: usize, what: String) -> Finding {
        Finding { path: self.path.clone(), line, what }
    }

    /// The module of the crate that this file belongs to; none outside `src` and for the map itself.
    fn module(&self) -> Option<&str> {
        let first = self.path.strip_prefix("src/")?.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first)).filter(|name| *name != "lib")
    }

    /// How many `super` lead from this file's module to the crate's root.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count() - 1;
        if self.path.ends_with("/mod.rs") { parts - 1 } else { parts }
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || !self.path.starts_with("src/") || self.path.contains("/tests/")
    }
}

// === impl Finding ===

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

// === the tree ===

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tree() -> Vec<File> {
    let mut files = Vec::new();
    for folder in ["src", "proto", "tests", "benches"] {
        collect(&root().join(folder), &mut files);
    }
    assert!(files.len() > 10, "the source tree is not where it was built: {}", root().display());
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(folder: &Path, files: &mut Vec<File>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let path = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned();
            files.push(File { path, text });
        }
    }
}

/// Runs `check` over the tree and fails with everything it found.
fn hold(check: impl Fn(&File) -> Vec<Finding>) {
    let found: Vec<String> = tree().iter().flat_map(check).map(|finding| finding.to_string()).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

// === the checks ===

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(_, modules)| modules.contains(&module)).map(|(layer, _)| *layer)
}

fn layers(file: &File) -> Vec<Finding> {
    let (Some(module), false) = (file.module(), file.is_test()) else { return Vec::new() };
    let Some(own) = layer(module) else {
        let what = format!("module `{module}` has no layer; give it a row in LAYERS of tests/it/architecture.rs");
        return vec![file.finding(1, what)];
    };
    let mut found = Vec::new();
    for path in source::paths(&source::without_tests(&source::tokens(&file.text))) {
        let up = path.segments.iter().take_while(|segment| *segment == "super").count();
        // `pub(super)` names nothing.
        if up >= file.depth() && path.segments.len() > up {
            found.push(file.finding(path.line, "`super` leads to the crate's root; write `crate::…`".into()));
        }
        let ["crate", other, ..] = *path.segments.iter().map(String::as_str).collect::<Vec<_>>() else { continue };
        let what = match layer(other) {
            _ if other == module => continue,
            Some(layer) if layer < own || own == FREE => continue,
            Some(layer) => format!("`{module}` (layer {own}) imports `{other}` (layer {layer}); import only downwards"),
            None => format!("`crate::{other}` is no module with a layer; name the module it is from"),
        };
        found.push(file.finding(path.line, what));
    }
    found
}

fn purity(file: &File) -> Vec<Finding> {
    let outside = file.module().and_then(layer).is_none_or(|layer| layer >= FIRST_OUTSIDE);
    if outside || file.is_test() || file.text.starts_with("//! [io]") {
        return Vec::new();
    }
    let tokens = source::without_tests(&source::tokens(&file.text));
    let mut found = Vec::new();
    for path in source::paths(&tokens) {
        let crate_name = path.segments[0].as_str();
        // A module of its own folder may have a crate's name.
        let own = tokens.windows(2).any(|pair| pair[0].text == "mod" && pair[1].text == crate_name);
        let named = path.segments.len() > 1 || path.imported;
        if (IO_CRATES.contains(&crate_name) && named && !own) || names_std(&path) {
            let what = format!(
                "a pure file names `{}`; take the value as a parameter, or begin the file with `//! [io]`",
                path.segments.join("::")
            );
            found.push(file.finding(path.line, what));
        }
    }
    found
}

/// Whether `path` is something of [`IO_STD`] or in it, or imports a whole module that has some.
fn names_std(path: &source::Path) -> bool {
    let segments: Vec<&str> = path.segments.iter().map(String::as_str).filter(|s| !["self", "*"].contains(s)).collect();
    IO_STD.iter().any(|forbidden| {
        let forbidden: Vec<&str> = forbidden.split("::").collect();
        segments.starts_with(&forbidden) || (path.imported && forbidden.starts_with(&segments) && !segments.is_empty())
    })
}

fn contract(file: &File) -> Vec<Finding> {
    if file.text.starts_with("//!") {
        return Vec::new();
    }
    vec![file.finding(1, "no `//!` on the first line; begin the file with a sentence that states its contract".into())]
}

fn sizes(file: &File) -> Vec<Finding> {
    let mut found = Vec::new();
    let lines = file.text.lines().count();
    if lines > FILE_LINES && !LONG_FILES.iter().any(|(path, _)| *path == file.path) {
        found.push(file.finding(lines, format!("{lines} lines, {FILE_LINES} at most; split the file by its nouns")));
    }
    for function in source::functions(&source::tokens(&file.text)) {
        let excepted = LONG_FUNCTIONS.iter().any(|(path, name, _)| *path == file.path && *name == function.name);
        if function.lines > FUNCTION_LINES && !excepted {
            let (name, lines) = (&function.name, function.lines);
            let what = format!("`{name}` has {lines} lines, {FUNCTION_LINES} at most; give its parts names");
            found.push(file.finding(function.line, what));
        }
    }
    found
}

fn finished(file: &File) -> Vec<Finding> {
    if !file.path.starts_with("src/") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let tokens = source::tokens(&file.text);
    for pair in tokens.windows(2) {
        if UNFINISHED.contains(&pair[0].text) && pair[1].text == "!" {
            found.push(file.finding(pair[0].line, format!("`{}!` is left in; write it or take it out", pair[0].text)));
        }
    }
    for (index, _) in file.text.lines().enumerate().filter(|(_, line)| line.contains("FIXME")) {
        found.push(file.finding(index + 1, "FIXME is left in; mend it, or say what is so and why".into()));
    }
    found
}

fn no_allow(file: &File) -> Vec<Finding> {
    let allows = |tokens: &[Token<'_>]| {
        let texts: Vec<&str> = tokens.iter().map(|token| token.text).filter(|text| *text != "!").collect();
        texts.starts_with(&["#", "[", "allow"])
    };
    source::tokens(&file.text)
        .windows(4)
        .filter(|tokens| allows(tokens))
        .map(|tokens| file.finding(tokens[0].line, "`allow` as attribute; use `#[expect(…, reason = \"…\")]`".into()))
        .collect()
}

fn exceptions_in_use(files: &[File]) -> Vec<String> {
    let mut stale = Vec::new();
    for (path, reason) in LONG_FILES {
        let long = files.iter().any(|file| file.path == *path && file.text.lines().count() > FILE_LINES);
        if !long || reason.is_empty() {
            stale.push(format!("LONG_FILES: {path}: not needed, or without a reason; take it out"));
        }
    }
    for (path, name, reason) in LONG_FUNCTIONS {
        let long = files.iter().filter(|file| file.path == *path).any(|file| {
            let functions = source::functions(&source::tokens(&file.text));
            functions.iter().any(|function| function.name == *name && function.lines > FUNCTION_LINES)
        });
        if !long || reason.is_empty() {
            stale.push(format!("LONG_FUNCTIONS: {path}: {name}: not needed, or without a reason; take it out"));
        }
    }
    stale
}

// === the tests ===

#[test]
fn a_module_imports_only_downwards() {
    hold(layers);
}

#[test]
fn pure_files_name_no_outside() {
    hold(purity);
}

#[test]
fn every_file_states_its_contract() {
    hold(contract);
}

#[test]
fn files_and_functions_are_short() {
    hold(sizes);
    assert_eq!(exceptions_in_use(&tree()), Vec::<String>::new());
}

#[test]
fn nothing_is_left_unfinished_in_src() {
    hold(finished);
}

#[test]
fn no_lint_is_allowed_away() {
    hold(no_allow);
}

#[test]
fn every_row_of_the_layer_table_is_a_module() {
    let files = tree();
    let gone: Vec<&&str> = LAYERS
        .iter()
        .flat_map(|(_, modules)| modules.iter())
        .filter(|module| !files.iter().any(|file| file.module() == Some(module)))
        .collect();
    assert!(gone.is_empty(), "LAYERS names modules that do not exist: {gone:?}");
}

#[test]
fn the_manifest_keeps_its_lints() {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let manifest: toml::Value = toml::from_str(&text).expect("Cargo.toml is TOML");
    for (tool, lint, level) in LINTS {
        assert_eq!(manifest["lints"][tool].get(lint).and_then(|value| value.as_str()), Some(*level), "{tool}::{lint}");
    }
}

/// The checks must be able to fail: each row is a file, the check, and what it shall find in it.
#[test]
fn each_check_finds_what_it_is_for() {
    type Check = fn(&File) -> Vec<Finding>;
    let long_function = format!("//! C.\nfn long() {{\n{}}}\n", "    step();\n".repeat(60));
    let rows: &[(Check, &str, &str, &[usize])] = &[
        (layers, "src/llm/call.rs", "use crate::base::json;\nuse crate::{base, llm::{self}, wire::sse};", &[2]),
        (layers, "src/wire/sse.rs", "fn f() { crate::catalog::load(); }\n// crate::app\n\"crate::app\"", &[1]),
        (layers, "src/base/now.rs", "#[cfg(test)]\nmod tests { use crate::app; }\nuse crate::llm;", &[3]),
        (layers, "src/base/tests.rs", "use crate::app;", &[]),
        (layers, "src/cli.rs", "use crate::{app, up, exchange};", &[]),
        (layers, "src/llm/call.rs", "use super::usage;\nuse super::super::app;", &[2]),
        (layers, "src/world.rs", "use super::app;", &[1]),
        (layers, "src/strange.rs", "", &[1]),
        (purity, "src/wire/sse.rs", "use std::time::Duration;\nuse std::{fs, time::{Instant, Duration}};", &[2, 2]),
        (purity, "src/wire/sse.rs", "use std::time;\nenv!(\"A\");\nstd::env::var(x);\nlet tokio = 1;", &[1, 3]),
        (purity, "src/wire/sse.rs", "use tokio;\ntokio::spawn(f);\nx::redis::y();\nuse std::net::IpAddr;", &[1, 2]),
        (purity, "src/cache/mod.rs", "mod redis;\npub use redis::Store;", &[]),
        (purity, "src/cache/redis.rs", "//! [io] Counters.\nuse redis::Client;", &[]),
        (purity, "src/world.rs", "use tokio::time::Instant;", &[]),
        (contract, "src/a.rs", "// A.", &[1]),
        (contract, "src/a.rs", "//! A.", &[]),
        (sizes, "src/a.rs", &"//\n".repeat(401), &[401]),
        (sizes, "src/a.rs", &"//\n".repeat(400), &[]),
        (sizes, "tests/it/a.rs", &long_function, &[2]),
        (sizes, "src/a.rs", &long_function.replacen("    step();\n", "", 2), &[]),
        (finished, "src/a.rs", "fn f() { todo!() }\n// FIXME later\nlet todo = \"dbg!(\";", &[1, 2]),
        (no_allow, "src/a.rs", "#![allow(dead_code)]\n#[allow(unused)]\n#[expect(unused)]\n// #[allow(x)]", &[1, 2]),
    ];
    for (check, path, text, lines) in rows {
        let found = check(&File { path: (*path).into(), text: (*text).into() });
        let at: Vec<usize> = found.iter().map(|finding| finding.line).collect();
        assert_eq!(at, *lines, "{path}:\n{text}\n{found:?}");
    }
}
