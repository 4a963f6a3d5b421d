//! LLMGuardPolicy: what must not be in a request or in a response. Read in full and not built yet.

use std::collections::HashSet;
use std::time::Duration;

use super::super::form;
use super::super::read::{Object, Reader};
use super::super::shape::{Fields, Only, Rule, Shape, keyed, list, may, need, set};
use super::super::text;
use super::super::value::{self, Endpoint};
use super::limit::ON_ERROR;
use super::scope::{self, Scope};
use super::{or, unique};
use crate::policy::OnError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LlmGuardPolicy {
    pub scope: Scope,
    pub rules: Vec<GuardRule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardRule {
    pub name: String,
    pub on: Vec<On>,
    pub look: Look,
    pub action: GuardAction,
    /// Put what was taken out of the request back into the response.
    pub restore: bool,
    /// What a judge that cannot be asked means.
    pub on_error: OnError,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum On {
    Request,
    Response,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    Detect(Vec<Detector>),
    /// A regular expression that compiles.
    Pattern(String),
    /// Somebody else says it.
    Http {
        url: Endpoint,
        timeout: Option<Duration>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detector {
    ApiKey,
    PrivateKey,
    Email,
    CreditCard,
    Iban,
    Phone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardAction {
    Redact,
    Deny,
}

pub(in super::super) const POLICY: Fields = Fields::of(&[
    may("mode", Shape::Word(&scope::MODES), scope::MODE).or("Enforce"),
    may("targetRefs", list(&Shape::Object(&scope::TARGET), 16), scope::TARGET_REFS),
    may("from", list(&Shape::Object(&scope::CALLERS), 32), scope::FROM),
    need("rules", keyed(&Shape::Object(&RULE), "name", 64), "What is looked for; all of them are."),
]);
const RULE: Fields = Fields {
    rows: &[
        need("name", Shape::Text(&text::LABEL), "What records and refusals call it."),
        need("on", set(&Shape::Word(&ONS), 2), "Which way."),
        may("detect", set(&Shape::Word(&DETECTORS), 16), "What Weir knows how to find."),
        may("pattern", Shape::Text(&text::PATTERN), "A regular expression of the Rust crate regex."),
        may("http", Shape::Object(&HTTP), "A judge that is asked."),
        need("action", Shape::Word(&ACTIONS), "What happens to what was found."),
        may("restore", Shape::Word(&SWITCH), "Put what was taken out of the request back into the response."),
        may("onError", Shape::Word(&ON_ERROR), "What a judge that cannot be asked means."),
    ],
    rules: &[
        Rule::OneOf(&["detect", "pattern", "http"]),
        Rule::Only {
            key: "action",
            fields: &[Only {
                field: "http",
                words: &["Deny"],
                why: "a judge says yes or no and not what to take out: say Deny",
            }],
        },
        Rule::Beside("onError", "http"),
        Rule::Other {
            says: "only what action: Redact takes out of a Request can be put back",
            cel: "!has(self.restore) || self.restore != 'Enabled' || (self.action == 'Redact' && self.on.exists(o, o == 'Request'))",
            json: r#"{"if": {"properties": {"restore": {"const": "Enabled"}}, "required": ["restore"]}, "then": {"properties": {"action": {"const": "Redact"}, "on": {"contains": {"const": "Request"}}}}}"#,
        },
    ],
};
const HTTP: Fields = Fields::of(&[
    need("url", Shape::Text(&text::ENDPOINT), "Where the judge is."),
    may("timeout", Shape::Text(&text::SOME_DURATION), "How long it may take."),
]);
const ONS: &[(&str, Option<On>)] = &[("Request", Some(On::Request)), ("Response", Some(On::Response))];
const DETECTORS: &[(&str, Option<Detector>)] = &[
    ("ApiKey", Some(Detector::ApiKey)),
    ("PrivateKey", Some(Detector::PrivateKey)),
    ("Email", Some(Detector::Email)),
    ("CreditCard", Some(Detector::CreditCard)),
    ("Iban", Some(Detector::Iban)),
    ("Phone", Some(Detector::Phone)),
];
const ACTIONS: &[(&str, Option<GuardAction>)] =
    &[("Redact", Some(GuardAction::Redact)), ("Deny", Some(GuardAction::Deny))];
const SWITCH: &[(&str, Option<bool>)] = &[("Enabled", Some(true)), ("Disabled", Some(false))];

// === impl LlmGuardPolicy ===

impl LlmGuardPolicy {
    pub(in super::super) fn read(reader: &Reader<'_>) -> Option<LlmGuardPolicy> {
        let policy = reader.object(&POLICY)?;
        let scope = Scope::read(&policy);
        let mut seen = HashSet::new();
        let rules = policy.need("rules").and_then(|list| list.list(|item| read_rule(&item, &mut seen)));
        Some(LlmGuardPolicy { scope, rules: rules.unwrap_or_default() })
    }
}

fn read_rule(reader: &Reader<'_>, seen: &mut HashSet<String>) -> Option<GuardRule> {
    let object = reader.object(&RULE)?;
    let name = object.need("name").and_then(|name| {
        unique(&name, seen, "name");
        name.parsed(value::label)
    });
    let on = object.need("on").and_then(|list| words(&list, ONS));
    let look = read_look(&object);
    let action = object.need("action").and_then(|word| word.word(ACTIONS));
    let restore = or(&object, "restore", false, |word| word.word(SWITCH));
    let on_error = or(&object, "onError", OnError::default(), |word| word.word(ON_ERROR));
    let asks = object.get("http").is_some();
    if let (Some(field), true) = (object.get("action"), asks && action == Some(GuardAction::Redact)) {
        field.error("a judge says yes or no and not what to take out: say Deny");
    }
    if let (Some(field), false) = (object.get("onError"), asks) {
        field.error("only `http` can fail; what is looked for here is always found or not");
    }
    let redacts = action == Some(GuardAction::Redact) && on.as_ref().is_some_and(|on| on.contains(&On::Request));
    if let (Some(field), true, false) = (object.get("restore"), restore, redacts) {
        field.error("only what `action: Redact` takes out of a Request can be put back");
    }
    Some(GuardRule { name: name?, on: on?, look: look?, action: action?, restore, on_error })
}

fn read_look(object: &Object<'_>) -> Option<Look> {
    let (detect, pattern, http) = (object.get("detect"), object.get("pattern"), object.get("http"));
    if [&detect, &pattern, &http].into_iter().flatten().count() != 1 {
        object.at().error("needs exactly one of detect, pattern, http");
    }
    let detect = detect.map(|list| words(&list, DETECTORS).map(Look::Detect));
    let pattern = pattern.map(|text| text.parsed(form::pattern).map(Look::Pattern));
    let http = http.map(|http| read_http(&http));
    detect.or(pattern).or(http).flatten()
}

fn read_http(reader: &Reader<'_>) -> Option<Look> {
    let object = reader.object(&HTTP)?;
    let url = object.need("url").and_then(|url| url.hushed().parsed(value::endpoint));
    let timeout = object.get("timeout").and_then(|field| {
        let timeout = field.parsed(value::duration)?;
        if timeout.is_zero() {
            field.error("is no time at all");
        }
        Some(timeout)
    });
    Some(Look::Http { url: url?, timeout })
}

/// A list of words that do not repeat, at least one.
fn words<T: Copy>(reader: &Reader<'_>, words: &[(&'static str, Option<T>)]) -> Option<Vec<T>> {
    let mut seen = HashSet::new();
    reader.list(|item| {
        unique(&item, &mut seen, "word");
        item.word(words)
    })
}
