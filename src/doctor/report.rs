//! What was found, in order: the worst first, then by group, code and place. Pure.

use std::fmt::Write;

use serde_json::{Value, json};

use super::finding::{Finding, Findings, Group, Severity, Told};

/// What doctor has to say.
#[derive(Debug)]
pub struct Report {
    /// In order, each once.
    pub findings: Vec<Finding>,
    groups: Vec<(Group, Told)>,
    /// What was looked at, in a few words.
    pub seen: String,
}

/// The most of a name that is shown: it comes from elsewhere.
const MOST: usize = 400;

// === impl Report ===

impl Report {
    pub fn new(seen: String, groups: Vec<(Group, Told, Findings)>) -> Report {
        let mut findings: Vec<Finding> = Vec::new();
        let mut told = Vec::with_capacity(groups.len());
        for (group, said, found) in groups {
            findings.extend(found.found);
            told.push((group, said));
        }
        for finding in &mut findings {
            for text in [&mut finding.at, &mut finding.means, &mut finding.change] {
                *text = plain(text);
            }
        }
        findings.sort();
        findings.dedup();
        Report { findings, groups: told, seen: plain(&seen) }
    }

    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The exit code for scripts: 1 for an error, where `strict` for a warning too, else 0.
    pub fn exit_code(&self, strict: bool) -> u8 {
        let is_bad = self.count(Severity::Error) > 0 || (strict && self.count(Severity::Warning) > 0);
        u8::from(is_bad)
    }

    pub fn to_json(&self) -> Value {
        let groups = self.groups.iter().map(|(group, told)| match told {
            Told::Looked(_) if !self.is_right(*group) => json!({"group": group.word(), "state": "found"}),
            Told::Looked(what) => json!({"group": group.word(), "state": "right", "what": what}),
            Told::Skipped(why) => json!({"group": group.word(), "state": "skipped", "what": why}),
        });
        json!({
            "seen": self.seen,
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "notes": self.count(Severity::Note),
            "findings": self.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
            "groups": groups.collect::<Vec<_>>(),
        })
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut out = format!("{}\n", self.seen);
        for finding in &self.findings {
            let Finding { severity, code, at, means, change, .. } = finding;
            // A String takes all that is written to it.
            let _ = write!(out, "\n{severity:7} {code}: {at}\n        {means}\n        change: {change}\n");
        }
        out.push('\n');
        for (group, told) in &self.groups {
            let group_word = group.word();
            let _ = match told {
                Told::Looked(what) if self.is_right(*group) => writeln!(out, "ok      {group_word}: {what}"),
                Told::Skipped(why) => writeln!(out, "-       {group_word}: not looked at: {why}"),
                Told::Looked(_) => Ok(()),
            };
        }
        let counts = [Severity::Error, Severity::Warning, Severity::Note].map(|severity| self.count(severity));
        let [errors, warnings, notes] = counts;
        let _ = writeln!(out, "\n{}, {}, {}", many(errors, "error"), many(warnings, "warning"), many(notes, "note"));
        out
    }

    fn is_right(&self, group: Group) -> bool {
        !self.findings.iter().any(|finding| finding.group == group && finding.severity != Severity::Note)
    }
}

/// `1 error`, `2 errors`.
pub fn many(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

/// Names come from whoever wrote the configuration; none may steer a terminal.
fn plain(text: &str) -> String {
    let mut out: String = text.chars().take(MOST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        out.push('…');
    }
    out
}
