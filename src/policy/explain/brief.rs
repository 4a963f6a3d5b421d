//! What a caller is told in a header of its own answer: who it is to Weir, where its call goes, and of each
//! policy of root or of its own namespace the name and one word. No reason: it would tell what others may.
//! Nothing else is worked out for it, and what other namespaces say is not looked at.

use std::fmt::Write;
use std::sync::Arc;

use super::{Question, caller, clip};
use crate::policy::combine::{self, Named, Scoped};
use crate::policy::select::Scope;
use crate::policy::spaces::Spaces;
use crate::policy::{Mode, access};

/// The longest header value, in bytes.
pub const HEADER: usize = 4096;

/// Of the members that close it.
const ROOM: usize = 64;

/// One policy and its word.
struct Told<'a> {
    id: &'a Arc<str>,
    word: &'static str,
    applies: bool,
}

/// Policies that are told of.
type Policies<'a> = Vec<Told<'a>>;

// === impl Question ===

impl<'a> Question<'a> {
    /// JSON in ASCII, of at most [`HEADER`] bytes. Policies that apply come first, and how many had no room is
    /// told.
    pub fn brief(&self) -> String {
        let mut policies = Policies::new();
        self.brief_access(&mut policies);
        let documents = &self.policy.documents;
        self.brief_accumulated(&documents.limits, &mut policies);
        self.brief_replaced(&documents.caches, &mut policies);
        self.brief_accumulated(&documents.guards, &mut policies);
        policies.sort_by_key(|told| !told.applies);
        let mut shown = self.brief_call();
        let room = HEADER.saturating_sub(ROOM);
        shown.push_str(r#","policies":{"#);
        let mut left = policies.as_slice();
        while let [first, rest @ ..] = left {
            let comma = if left.len() == policies.len() { "" } else { "," };
            let member = format!(r#"{comma}{}:"{}""#, quoted(first.id), first.word);
            if shown.len() + member.len() > room {
                break;
            }
            shown.push_str(&member);
            left = rest;
        }
        // A string is written to, which cannot fail.
        let _ = write!(shown, r#"}},"omitted":{}}}"#, left.len());
        if shown.len() > HEADER { format!(r#"{{"omitted":{}}}"#, policies.len()) } else { shown }
    }

    /// The beginning of it: the caller, and where the call goes.
    fn brief_call(&self) -> String {
        let or_null = |text: Option<&str>| text.map_or_else(|| "null".to_owned(), |text| quoted(&clip(text)));
        let went = self.went;
        format!(
            r#"{{"caller":{},"rank":"{}","rule":{},"backend":{},"model":{}"#,
            quoted(&clip(&self.caller.name)),
            caller::rank(self.caller),
            or_null(went.and_then(|went| went.rule)),
            or_null(went.map(|went| went.backend)),
            or_null(went.map(|went| went.model).filter(|model| !model.is_empty())),
        )
    }

    fn brief_access(&self, into: &mut Policies<'a>) {
        let policies = self.policy.access.of(&self.caller.namespace);
        let (Some(place), Some(index)) = (self.place(), self.backend()) else {
            return into.extend(policies.map(|document| self.brief_unasked(document.scope())));
        };
        self.with_model(index, |model| {
            let visit = self.policy.visit(index, place, model);
            into.extend(policies.map(|document: &'a access::AccessPolicy| {
                let scope = document.scope();
                let word = match document.says(self.caller, visit) {
                    None => return not_met(scope),
                    Some(Ok(())) => "allows",
                    Some(Err(_)) if scope.mode == Mode::Shadow => "would_refuse",
                    Some(Err(_)) => "refuses",
                };
                Told { id: &scope.id, word, applies: true }
            }));
        });
    }

    fn brief_accumulated(&self, documents: &'a Spaces<Named>, into: &mut Policies<'a>) {
        let place = self.place();
        into.extend(documents.of(&self.caller.namespace).map(|document| match place {
            None => self.brief_unasked(&document.scope),
            Some(place) if !document.scope.speaks_for(self.caller, place) => not_met(&document.scope),
            Some(_) => Told { id: &document.scope.id, word: "applies", applies: true },
        }));
    }

    fn brief_replaced(&self, documents: &'a Spaces<Named>, into: &mut Policies<'a>) {
        let own = documents.of(&self.caller.namespace);
        let Some(place) = self.place() else {
            return into.extend(own.map(|document| self.brief_unasked(&document.scope)));
        };
        into.extend(combine::standings(own, self.caller, place).map(|(document, standing)| {
            let (word, applies) = match standing {
                combine::Standing::Unmet => return not_met(&document.scope),
                combine::Standing::Applies => ("applies", true),
                combine::Standing::Replaced(_) => ("replaced", false),
                combine::Standing::Conflicted(_) => ("conflicted", false),
            };
            Told { id: &document.scope.id, word, applies }
        }));
    }

    /// Of a call that was refused before a backend was chosen.
    fn brief_unasked(&self, scope: &'a Scope) -> Told<'a> {
        match scope.has_caller(self.caller) || self.caller.name.is_empty() {
            true => Told { id: &scope.id, word: "not_asked", applies: false },
            false => not_met(scope),
        }
    }
}

fn not_met(scope: &Scope) -> Told<'_> {
    Told { id: &scope.id, word: "does_not_apply", applies: false }
}

/// A text as JSON with every character beyond ASCII escaped, for a header carries none.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            ' '..='~' => out.push(character),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    // As above.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out
}
