//! One thing that is wrong. Pure.

use std::fmt;

use serde_json::{Value, json};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Calls fail, pass unseen, or give a secret away.
    Error,
    /// It goes wrong under load, with long calls, or for some callers.
    Warning,
    /// Good to know.
    Note,
}

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    Attachment,
    Filter,
    Clusters,
    Routes,
    Attempts,
    Bypass,
    Secrets,
    Replies,
    Stats,
    Socket,
    Weir,
}

/// One thing that is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub severity: Severity,
    pub group: Group,
    /// A word that stays the same from version to version.
    pub code: &'static str,
    /// The listener, route or cluster.
    pub at: String,
    pub means: String,
    /// A field and its value.
    pub change: String,
}

/// What a group of checks has found.
#[derive(Debug)]
pub struct Findings {
    group: Group,
    pub found: Vec<Finding>,
}

/// What a group of checks did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It looked at this; it is right but for what it found.
    Looked(String),
    /// It could not look, and why.
    Skipped(&'static str),
}

// === impl Severity ===

impl Severity {
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

// === impl Group ===

impl Group {
    pub fn word(self) -> &'static str {
        match self {
            Group::Attachment => "attachment",
            Group::Filter => "filter",
            Group::Clusters => "clusters",
            Group::Routes => "routes",
            Group::Attempts => "attempts",
            Group::Bypass => "bypass",
            Group::Secrets => "secrets",
            Group::Replies => "replies",
            Group::Stats => "stats",
            Group::Socket => "socket",
            Group::Weir => "weir",
        }
    }
}

// === impl Finding ===

impl Finding {
    pub fn to_json(&self) -> Value {
        json!({
            "severity": self.severity.word(), "group": self.group.word(), "code": self.code,
            "at": self.at, "means": self.means, "change": self.change,
        })
    }
}

// === impl Findings ===

impl Findings {
    pub fn of(group: Group) -> Self {
        Findings { group, found: Vec::new() }
    }

    pub fn error(&mut self, code: &'static str, at: &str, means: impl Into<String>, change: impl Into<String>) {
        self.add(Severity::Error, code, at, means.into(), change.into());
    }

    pub fn warning(&mut self, code: &'static str, at: &str, means: impl Into<String>, change: impl Into<String>) {
        self.add(Severity::Warning, code, at, means.into(), change.into());
    }

    pub fn note(&mut self, code: &'static str, at: &str, means: impl Into<String>, change: impl Into<String>) {
        self.add(Severity::Note, code, at, means.into(), change.into());
    }

    pub fn add(&mut self, severity: Severity, code: &'static str, at: &str, means: String, change: String) {
        let finding = Finding { severity, group: self.group, code, at: at.to_owned(), means, change };
        self.found.push(finding);
    }
}
