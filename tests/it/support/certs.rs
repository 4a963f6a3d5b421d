//! Certificates for tests, made by the `openssl` command: authorities of a test's own and what they sign.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// An authority, in files of a directory.
pub struct Authority {
    directory: PathBuf,
    pub certificate: PathBuf,
    key: PathBuf,
}

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What a certificate says.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub name: &'a str,
    /// `subjectAltName` as openssl writes it; empty for none.
    pub names: &'a str,
    /// `extendedKeyUsage`; empty for none.
    pub usage: &'a str,
    /// 0 for one that ends when it begins.
    pub days: u32,
}

/// Runs openssl; panics with what it said.
pub fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().expect("these tests need the openssl command");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

// === impl Authority ===

impl Authority {
    pub fn new(directory: &Path, name: &str) -> Authority {
        let path = |end: &str| directory.join(format!("{name}.{end}"));
        let (certificate, key) = (path("ca.pem"), path("ca.key"));
        new_key(&key);
        let subject = format!("/CN={name}");
        let arguments = ["req", "-x509", "-new", "-days", "2", "-subj", &subject, "-key", text(&key), "-out"];
        openssl(&[&arguments[..], &[text(&certificate)]].concat());
        Authority { directory: directory.to_owned(), certificate, key }
    }

    /// Whoever has this pair, in the place of an authority.
    pub fn of(pair: &Pair) -> Authority {
        let directory = pair.key.parent().expect("a directory").to_owned();
        Authority { directory, certificate: pair.certificate.clone(), key: pair.key.clone() }
    }

    /// Signs a certificate. Every one has a file name of its own.
    pub fn sign(&self, subject: Subject<'_>) -> Pair {
        static COUNT: AtomicU32 = AtomicU32::new(2);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = |end: &str| self.directory.join(format!("{}-{number}.{end}", subject.name));
        let (certificate, key, request, extensions) = (path("pem"), path("key"), path("csr"), path("ext"));
        new_key(&key);
        let name = format!("/CN={}", subject.name);
        openssl(&["req", "-new", "-subj", &name, "-key", text(&key), "-out", text(&request)]);
        let mut lines = "basicConstraints=CA:FALSE\n".to_owned();
        if !subject.names.is_empty() {
            lines += &format!("subjectAltName={}\n", subject.names);
        }
        if !subject.usage.is_empty() {
            lines += &format!("extendedKeyUsage={}\n", subject.usage);
        }
        std::fs::write(&extensions, lines).expect("a file of our own");
        let (days, serial) = (subject.days.to_string(), number.to_string());
        let mut arguments = vec!["x509", "-req", "-days", &days, "-set_serial", &serial, "-in", text(&request)];
        arguments.extend(["-CA", text(&self.certificate), "-CAkey", text(&self.key)]);
        arguments.extend(["-extfile", text(&extensions), "-out", text(&certificate)]);
        openssl(&arguments);
        Pair { certificate, key }
    }

    /// A certificate for a workload with these URI names.
    pub fn workload(&self, name: &str, uris: &[&str]) -> Pair {
        let names = uris.iter().map(|uri| format!("URI:{uri}")).collect::<Vec<_>>().join(",");
        self.sign(Subject { name, names: &names, usage: "", days: 2 })
    }

    /// A certificate for a server on the loopback address.
    pub fn server(&self, name: &str) -> Pair {
        let names = format!("IP:127.0.0.1,URI:spiffe://mesh/ns/llm/sa/{name}");
        self.sign(Subject { name, names: &names, usage: "", days: 2 })
    }
}

fn new_key(path: &Path) {
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", text(path)]);
}
