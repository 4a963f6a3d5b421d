//! Who can open the socket: Weir is uid 65532, Istio's proxy uid 1337. The kernel decides, so it is asked.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::process::{Child, Stream};
use crate::support::root::{as_root, must, weir_for_everybody};

const LONG: Duration = Duration::from_secs(60);

const WEIR: u32 = 65532;
const ISTIO: u32 = 1337;

const OPENS: i32 = 0;
const EACCES: i32 = 13;

/// Connects, and ends with the number of what is wrong. Every Debian has this perl.
const CONNECT: &str =
    "socket(my $s, PF_UNIX, SOCK_STREAM, 0) or exit 99; connect($s, sockaddr_un($ARGV[0])) or exit $!;";

/// Mode, access, what is said of signing, and what becomes of Istio's proxy.
const ROWS: [(&str, &str, &str, i32); 4] = [
    ("0666", "Mount", "signing is on: socketAccess is Mount", OPENS),
    ("0660", "Mount", "signing is on: socketAccess is Mount", EACCES),
    ("0600", "Mount", "signing is on: socketAccess is Mount", EACCES),
    // Nobody else comes as far as the socket, so its mode says nothing.
    ("0666", "Directory", "signing is on: the socket is in a private directory", EACCES),
];

/// A command as this user, with no other group than its own.
fn as_user(uid: u32, program: &str, arguments: &[&str]) -> Command {
    let user = [format!("--reuid={uid}"), format!("--regid={uid}")];
    as_root("setpriv", &[&[user[0].as_str(), &user[1], "--clear-groups", program], arguments].concat())
}

fn connect(uid: u32, socket: &str) -> i32 {
    let status = as_user(uid, "perl", &["-MSocket", "-e", CONNECT, socket]).status().expect("perl");
    status.code().expect("it ends by itself")
}

fn documents(at: &Path, mode: &str, access: &str) -> String {
    let (at, below) = (at.display(), if access == "Directory" { "own/" } else { "" });
    format!(
        "apiVersion: weir.dev/v1alpha1\nkind: WeirBootstrap\nmetadata: {{name: process}}\nspec:\n  listen:\n    \
         extProc: 'unix:{at}/run/{below}x.sock'\n    socketMode: '{mode}'\n    socketAccess: {access}\n    \
         adminSocket: 'unix:{at}/state/a.sock'\n    metrics: '127.0.0.1:0'\n"
    )
}

#[test]
fn istios_proxy_opens_a_mounted_socket_of_mode_0666_and_no_other() {
    for (mode, access, signing, expected) in ROWS {
        let directory = tempfile::tempdir().expect("a directory");
        let at = directory.path();
        let text = |name: &str| at.join(name).to_str().expect("text").to_owned();
        must(as_root("chmod", &["0755", at.to_str().expect("text")]));
        let weir = weir_for_everybody(at);
        std::fs::write(at.join("weir.yaml"), documents(at, mode, access)).expect("a file");
        // As the kubelet makes an emptyDir.
        must(as_root("install", &["-d", "-m", "0777", &text("run")]));
        must(as_root("install", &["-d", "-m", "0777", &text("state")]));
        let arguments = ["run", "--config", &text("weir.yaml")];
        let mut weir = Child::spawn("weir", as_user(WEIR, weir.to_str().expect("text"), &arguments));
        weir.ready_line("ready ", LONG);
        let row = format!("{mode} {access}");
        assert!(weir.line(Stream::Stderr, |line| line.contains(signing), LONG).is_some(), "{row}: {}", weir.written());
        let socket = if access == "Directory" { text("run/own/x.sock") } else { text("run/x.sock") };
        assert_eq!(connect(WEIR, &socket), OPENS, "{row}: Weir's own user");
        assert_eq!(connect(ISTIO, &socket), expected, "{row}: Istio's proxy");
        // The admin socket is for Weir alone, wherever it is.
        assert_eq!(connect(ISTIO, &text("state/a.sock")), EACCES, "{row}");
        assert!(weir.stop(LONG).success(), "{row}: {}", weir.written());
        must(as_root("rm", &["-r", &text("run"), &text("state")]));
    }
}
