//! The official OpenAI Python SDK in an environment of its own under the target directory, made once
//! and shared by all test processes. When it cannot be had the test fails and says so.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::time::Duration;

use super::process::Child;

/// The SDK, pinned.
pub const OPENAI: &str = "openai==3.54.0";

/// How long a script may run.
const LIMIT: Duration = Duration::from_secs(180);

/// What would send a client elsewhere than the test says.
const FOREIGN: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
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
    for name in FOREIGN.iter().filter(|name| !environment.iter().any(|(set, _)| set == *name)) {
        command.env_remove(name);
    }
    let mut child = Child::spawn("python", command);
    let status = child.wait(LIMIT);
    let status = status.unwrap_or_else(|| panic!("the script has not ended; it wrote:\n{}", child.written()));
    Output { status, stdout: child.stdout(), stderr: child.stderr() }
}

/// The interpreter of the environment, which is made first when it is not there.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{}", OPENAI.replace("==", "-")));
        make(&home);
        home.join("bin/python")
    })
}

fn make(home: &Path) {
    // The last file written: an environment that was left half made is made anew.
    let done = home.join("weir-ready");
    fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).expect("the target directory");
    let lock = File::create(home.with_extension("lock")).expect("a lock file in the target directory");
    lock.lock().expect("a lock on a local file");
    if done.exists() {
        return;
    }
    if home.exists() {
        fs::remove_dir_all(home).expect("an environment that was left half made");
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(home);
    must(venv, "python3 with its venv module is needed (Debian: python3-venv)");
    let mut pip = Command::new(home.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", OPENAI]);
    must(pip, "pip could not install the OpenAI SDK, which these tests need");
    File::create(&done).expect("a file in the environment");
}

fn must(mut command: Command, otherwise: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{otherwise}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{otherwise}: {}\n{out}{err}", output.status);
}

#[test]
fn the_sdk_is_there_and_pinned() {
    let script = "import openai, os, sys; print(openai.__version__, sys.argv[1], os.environ['A']); sys.exit(4)";
    let output = run_script(script, &["x"], &[("A", "b")]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert_eq!(
        Some(output.stdout.trim_end()),
        OPENAI.split_once("==").map(|(_, version)| format!("{version} x b")).as_deref()
    );
}
