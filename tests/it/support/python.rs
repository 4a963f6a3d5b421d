//! The official Python SDKs in an environment of their own under the target directory, made once and
//! shared by all test processes. When they cannot be had the test fails and says so.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::time::Duration;

use super::process::Child;

/// The SDKs, pinned, and the module of each. What they need comes in the newest version that they allow.
const SDKS: &[(&str, &str)] = &[
    ("openai==3.54.0", "openai"),
    ("anthropic==2.12.0", "anthropic"),
    ("google-genai==3.4.0", "google.genai"),
    ("boto3==1.44.5", "boto3"),
    ("cohere==7.3.1", "cohere"),
];

/// How long a script may run.
const LIMIT: Duration = Duration::from_secs(180);

/// How a variable begins, in upper case, that would send a client elsewhere than the test says, or with
/// another's key: proxies, and what each SDK reads.
const FOREIGN: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "OPENAI_",
    "AZURE_OPENAI_",
    "ANTHROPIC_",
    "CLAUDE_",
    "GOOGLE_",
    "GEMINI_",
    "VERTEX_",
    "GCLOUD_",
    "CLOUDSDK_",
    "AWS_",
    "BOTO_",
    "BEDROCK_",
    "CO_API_",
    "COHERE_",
];

/// What a script left behind.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `source` in the environment that has the SDK. Panics when the script does not end.
pub fn run_script(source: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(python());
    // -I: neither the user's packages nor the working directory.
    command.args(["-I", "-c", source]).args(arguments).envs(environment.iter().copied());
    let set = |name: &str| environment.iter().any(|(set, _)| *set == name);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| is_foreign(name) && !set(name)) {
            command.env_remove(name);
        }
    }
    // There is neither a file of keys nor a machine that would give some.
    for (name, value) in [
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_CONFIG_FILE", "/dev/null"),
    ] {
        if !set(name) {
            command.env(name, value);
        }
    }
    let mut child = Child::spawn("python", command);
    let status = child.wait(LIMIT);
    let status = status.unwrap_or_else(|| panic!("the script has not ended; it wrote:\n{}", child.written()));
    Output { status, stdout: child.stdout(), stderr: child.stderr() }
}

fn is_foreign(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    FOREIGN.iter().any(|start| name.starts_with(start))
}

/// The interpreter of the environment, which is made first when it is not there.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let otherwise = "pip could not install the official SDKs, which these tests need";
        let home = environment(&directory(), otherwise, |pip, _| _ = pip.args(SDKS.iter().map(|(pin, _)| pin)));
        home.join("bin/python")
    })
}

/// Named after all that is in it, so that another pin makes another environment.
fn directory() -> String {
    SDKS.iter().fold("python".to_owned(), |name, (pin, _)| name + "-" + &pin.replace("==", "-"))
}

/// An environment of this name in the target directory, in which pip has installed once what it is told: by `ask`,
/// which is given the environment's own place. `otherwise` is said where it cannot.
pub(super) fn environment(name: &str, otherwise: &str, ask: impl FnOnce(&mut Command, &Path)) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // The last file written: an environment that was left half made is made anew.
    let done = home.join("weir-ready");
    fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).expect("the target directory");
    let lock = File::create(home.with_extension("lock")).expect("a lock file in the target directory");
    lock.lock().expect("a lock on a local file");
    if done.exists() {
        return home;
    }
    if home.exists() {
        fs::remove_dir_all(&home).expect("an environment that was left half made");
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&home);
    must(venv, "python3 with its venv module is needed (Debian: python3-venv)");
    let mut pip = Command::new(home.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-compile"]);
    ask(&mut pip, &home);
    must(pip, otherwise);
    File::create(&done).expect("a file in the environment");
    home
}

fn must(mut command: Command, otherwise: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{otherwise}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{otherwise}: {}\n{out}{err}", output.status);
}

#[test]
fn the_sdks_are_there_and_pinned() {
    let script = "
import importlib, importlib.metadata, os, sys
for pin, module in zip(sys.argv[1::2], sys.argv[2::2]):
    importlib.import_module(module)
    name, version = pin.split('==')
    print(pin, importlib.metadata.version(name) == version)
print(os.environ['A'])
sys.exit(4)";
    let arguments: Vec<&str> = SDKS.iter().flat_map(|(pin, module)| [*pin, *module]).collect();
    let output = run_script(script, &arguments, &[("A", "b")]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let expected: String = SDKS.iter().map(|(pin, _)| format!("{pin} True\n")).chain(["b\n".to_owned()]).collect();
    assert_eq!(output.stdout, expected);
}

#[test]
fn nothing_sends_a_client_elsewhere() {
    let foreign = [
        "https_proxy",
        "OPENAI_BASE_URL",
        "ANTHROPIC_AUTH_TOKEN",
        "GOOGLE_API_KEY",
        "GEMINI_API_KEY",
        "AWS_PROFILE",
        "CO_API_URL",
    ];
    for name in foreign {
        assert!(is_foreign(name), "{name}");
    }
    assert!(!["PATH", "HOME", "TMPDIR", "LANG"].into_iter().any(is_foreign));
    let script = "import os; print([name for name in ('OPENAI_BASE_URL', 'AWS_REGION', 'AWS_CONFIG_FILE') if name in os.environ])";
    let output = run_script(script, &[], &[("AWS_REGION", "eu-west-3")]);
    assert_eq!(output.stdout, "['AWS_REGION', 'AWS_CONFIG_FILE']\n", "{output:?}");
}
