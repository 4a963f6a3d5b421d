//! What the command writes, as files and as resources, and the documents that it is asked to render.

use serde_json::Value;
use weir::up::RunDir;

use crate::support::process;

/// The minor versions that resources are rendered for.
pub const VERSIONS: std::ops::RangeInclusive<u32> = 5..=9;

/// The document of the example.
pub const EXAMPLE: &str = include_str!("../../../../examples/envoy-gateway/weir.yaml");

/// Backends of each kind that a resource can have, two of them on one host.
pub const EVERY_KIND: &str = "\
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: openai}
spec: {provider: openai, credentials: [{type: APIKey, apiKey: {secretRef: {name: openai, key: token}}}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: openai-eu}
spec: {provider: openai, credentials: [{type: APIKey, apiKey: {env: OPENAI_EU_KEY}}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: own}
spec: {endpoint: 'http://10.1.2.3:8000/v1', dialect: OpenAI, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: own, namespace: shop}
spec:
  endpoint: http://vllm.shop.svc:8001/v1
  dialect: OpenAI
  credentials: [{type: APIKey, apiKey: {secretRef: {name: own, key: token}}}]
";

macro_rules! backend {
    ($spec:literal) => {
        concat!(
            "apiVersion: weir.dev/v1alpha1\nkind: LLMBackend\nmetadata: {name: b}\nspec: {dialect: OpenAI, ",
            $spec,
            "}\n"
        )
    };
}
macro_rules! process {
    ($spec:literal) => {
        concat!("apiVersion: weir.dev/v1alpha1\nkind: WeirBootstrap\nmetadata: {name: p}\nspec: {", $spec, "}\n")
    };
}

/// Documents, arguments, and a piece of what is said of them.
pub const WRONG: &[(&str, &[&str], &str)] = &[
    (
        backend!("endpoint: 'https://a.b/v1', credentials: [{type: APIKey, apiKey: {value: sk-canary-0123}}]"),
        &[],
        "weir.yaml: a secret is written into the document, and the documents become a ConfigMap; say `secretRef",
    ),
    (
        backend!("endpoint: 'https://a.b/v1', credentials: [{type: APIKey, apiKey: {file: /keys/a}}]"),
        &[],
        "secret file /keys/a is not in Weir's container; say `secretRef",
    ),
    (
        backend!("endpoint: 'http://127.0.0.1:1/v1', credentials: [{type: None}]"),
        &[],
        "backend b: its endpoint is a loopback",
    ),
    (backend!("endpoint: 'http://vllm:1/v1', credentials: [{type: None}]"), &[], "reached as NAME.NAMESPACE.svc"),
    (
        backend!("endpoint: 'https://10.1.2.3/v1', credentials: [{type: None}]"),
        &[],
        "backend b: its endpoint is https at an IP address",
    ),
    (
        backend!("endpoint: 'https://a.b/v1', tls: {ca: {file: /none/ca.pem}}, credentials: [{type: None}]"),
        &[],
        "backend b: cannot read its CA /none/ca.pem",
    ),
    (process!("role: Sidecar"), &[], "WeirBootstrap: spec.role"),
    (process!("role: Gateway"), &[], "spec.listen.socketAccess"),
    (process!("role: Gateway, listen: {socketAccess: Mount}"), &[], "spec.listen.adminSocket"),
    (process!("role: Gateway, listen: {extProc: 'tcp:0.0.0.0:1'}"), &[], "say a Unix socket"),
    ("", &["--gateway-version", "1.4"], "say one of 1.5 to 1.9"),
    ("", &["--patch"], "--patch is an option of --mesh envoy"),
];

/// What was written.
pub struct Rendered {
    /// Name and text, in the order of application.
    pub files: Vec<(String, String)>,
    pub resources: Vec<Value>,
    documents: String,
    arguments: Vec<String>,
}

// === impl Rendered ===

impl Rendered {
    /// Renders these documents with these arguments. Keys in the environment are not asked for.
    pub fn of(documents: &str, arguments: &[&str]) -> Rendered {
        let out = RunDir::create().expect("a directory");
        let directory = out.file("out");
        let into = ["--out", directory.to_str().expect("text")];
        let (ended, _, error) = run(documents, &[arguments, &into].concat());
        assert!(ended, "{error}");
        let entries = std::fs::read_dir(&directory).expect("it was made");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        let name = |path: &std::path::Path| path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = |path: &std::path::Path| std::fs::read_to_string(path).expect("a file");
        let files: Vec<(String, String)> = paths.iter().map(|path| (name(path), text(path))).collect();
        let parsed = |text: &String| {
            serde_saphyr::from_multiple::<Value>(text).unwrap_or_else(|error| panic!("{error}: {text}"))
        };
        let resources = files.iter().flat_map(|(_, text)| parsed(text)).collect();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Rendered { files, resources, documents: documents.to_owned(), arguments }
    }

    /// What the command says of documents that it cannot render.
    pub fn failing(documents: &str, arguments: &[&str]) -> String {
        let (ended, out, error) = run(documents, arguments);
        assert!(!ended && out.is_empty(), "{documents}: {out}");
        assert!(!error.contains("sk-canary"), "the key is in the output: {error}");
        error
    }

    /// The same on stdout.
    pub fn stream(&self) -> String {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        run(&self.documents, &arguments).1
    }

    /// The one resource of this kind.
    pub fn one(&self, kind: &str) -> &Value {
        let mut found = self.resources.iter().filter(|resource| resource["kind"] == kind);
        let (Some(one), None) = (found.next(), found.next()) else { panic!("not one {kind}") };
        one
    }
}

/// Whether it ended well, and what it said on stdout and stderr.
fn run(documents: &str, arguments: &[&str]) -> (bool, String, String) {
    let directory = RunDir::create().expect("a directory");
    let file = directory.file("weir.yaml");
    std::fs::write(&file, documents).expect("a file");
    let mut command = process::weir(&["render", "--mesh", "envoy-gateway"]);
    let output = command.arg(&file).args(arguments).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}
