//! One feature of an API, and what became of it in another one.

use std::path::Path;

use serde_json::Value;

/// One thing that can be said.
pub struct Feature {
    /// In plain words, the same wherever it can be said.
    pub what: String,
    /// The members of the body that say it, and those of a body that is the same but for it.
    pub with: Value,
    pub without: Value,
    /// What must be found in a body that says it; `a|b` is one of the two. Where there is none a difference must be
    /// seen.
    marks: Vec<String>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Said,
    /// It is said, and something of it is named as left out.
    InPart(Vec<String>),
    /// It is named as left out.
    Lost(Vec<String>),
    /// 400 with these words.
    Refused(String),
    /// It is neither in what is written here nor named as left out.
    Silent(String),
}

/// What became of one feature between two APIs.
#[derive(Clone, Debug)]
pub struct Found {
    pub client: &'static str,
    pub target: &'static str,
    pub what: String,
    pub outcome: Outcome,
}

/// A file of `tests/golden/drops`.
pub fn read(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/drops/{name}.json"));
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A body with these members over its own.
pub fn merged(body: &Value, members: &Value) -> Value {
    let mut body = body.clone();
    for (key, value) in members.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body
}

// === impl Feature ===

impl Feature {
    pub fn all(file: &Value) -> Vec<Feature> {
        file["features"].as_array().expect("features").iter().map(Feature::read).collect()
    }

    fn read(value: &Value) -> Feature {
        let marks = value["marks"].as_array().into_iter().flatten();
        Feature {
            what: value["what"].as_str().expect("words").to_owned(),
            with: value["with"].clone(),
            without: value["without"].clone(),
            marks: marks.map(|mark| mark.as_str().expect("text").to_owned()).collect(),
        }
    }

    /// What became of it, by what was written and named with it, and without.
    pub fn judge(&self, with: &str, names: Vec<String>, without: &str, usual: &[String]) -> Outcome {
        // Spaces between members are nobody's.
        let [seen, plain] = [with, without].map(|text| text.replace("\": ", "\":"));
        let is_seen = |mark: &String| mark.split('|').any(|one| seen.contains(one) && !plain.contains(one));
        let is_said = seen != plain && self.marks.iter().all(is_seen);
        let is_begun = self.marks.iter().any(is_seen);
        let (usual, new): (Vec<String>, Vec<String>) = names.into_iter().partition(|name| usual.contains(name));
        match (is_said, new.is_empty(), usual.is_empty()) {
            (true, true, _) => Outcome::Said,
            (true, false, _) => Outcome::InPart(new),
            (false, false, _) if is_begun => Outcome::InPart(new),
            (false, false, _) => Outcome::Lost(new),
            // With the thing that it belongs to, which was named without it, too.
            (false, true, false) => Outcome::Lost(usual),
            (false, true, true) => Outcome::Silent(seen),
        }
    }
}
