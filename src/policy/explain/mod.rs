//! Why a call went where it went: what is known of its caller, which rule took it, and every document
//! that could have spoken for it, with the first condition that was not met where it did not.
//!
//! It is worked out when somebody asks, from what a record keeps and the configuration that was in force;
//! on the way of a call nothing is done for it. It says what is asked of a call and never what the call
//! says: no prompt, no key, and of a header only whether it fits.
//!
//! | file | |
//! |---|---|
//! | `caller` | each fact and where it is from |
//! | `route` | the rules that name the model, the choices of the one that took the call |
//! | `documents` | one row a kind of document |
//! | `limits` | each limit of a policy that speaks for the call |
//! | `text`, `json` | the same in words, and as JSON |
//! | `brief` | the little of it that a caller is told in a header |

mod brief;
mod caller;
mod documents;
mod json;
mod limits;
mod route;
mod text;

pub use brief::HEADER;
pub use limits::{Met, Told, Took};

use std::sync::Arc;

use super::select::Place;
use super::{Mode, Policy, access};
use crate::access::Model;
use crate::identity::Principal;
use crate::llm::{Dialect, Operation};
use crate::target::{Rule, RuleName, Table};

/// Rules, and choices of one rule, that are told of, at most.
pub const RULES: usize = 16;
/// Documents of either standing that are told of, at most.
pub const DOCUMENTS: usize = 256;
/// The longest text that is repeated, in characters.
const TEXT: usize = 256;

/// A text by its name.
pub type LookUp<'a> = &'a dyn Fn(&str) -> Option<&'a str>;

/// What was taken of a limit, by its id.
pub type TookBy<'a> = &'a dyn Fn(&str) -> Option<Took>;

/// What is to be explained.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    pub policy: &'a Policy,
    /// With an empty name where it was refused before it was known.
    pub caller: &'a Principal,
    pub asked: Asked<'a>,
    /// The first value of a header by its name in lower case; none where the headers were not kept.
    pub header: Option<LookUp<'a>>,
    pub went: Option<Went<'a>>,
    /// When it was made, in seconds since the Unix epoch.
    pub unix: u64,
    pub decided: Decided<'a>,
}

/// What the call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// It was refused before that was read.
    Unread,
    Model {
        model: &'a str,
        operation: Operation,
        dialect: Dialect,
    },
    /// A path without a model, or with one in a body that is `hidden` from Weir.
    Path {
        hidden: bool,
    },
}

/// Where it went, or was about to go when it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Went<'a> {
    /// The name of a rule, or of a route whose `passthrough` named the path.
    pub rule: Option<&'a str>,
    pub backend: &'a str,
    /// The model name that leaves; empty for a path without a model.
    pub model: &'a str,
}

/// What was decided on the way, as it is written down.
#[derive(Clone, Copy, Default)]
pub struct Decided<'a> {
    /// The word of [`Why`](crate::target::Why), or of a passthrough.
    pub why: &'a str,
    /// Why the choice `BACKEND/MODEL` was passed over.
    pub passed_over: Option<LookUp<'a>>,
    /// What the call took of a limit, by its id.
    pub took: Option<TookBy<'a>>,
}

/// The answer. Its size is bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub caller: Caller,
    pub route: Route,
    /// Documents that speak for the call, in their order.
    pub applied: Vec<Line>,
    /// Documents that do not.
    pub others: Vec<Line>,
    /// How many more there are of both.
    pub omitted: usize,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Empty where it was refused before it was known.
    pub name: String,
    /// The word of the strongest fact's rank.
    pub rank: &'static str,
    pub namespace: Arc<str>,
    pub facts: Vec<Fact>,
}

/// One thing that is known of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub name: String,
    pub value: String,
    /// Where it is from.
    pub from: String,
}

/// Where the call goes, and why there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    pub rule: Option<String>,
    pub backend: Option<String>,
    pub model: Option<String>,
    pub why: String,
    /// What the rule that took the call has to choose from.
    pub choices: Vec<Chance>,
    /// Rules that name the model and did not take it, in the order in which they are asked.
    pub rules: Vec<Passed>,
    /// How many more there are of both.
    pub omitted: usize,
}

/// One backend of the rule that took the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chance {
    pub backend: String,
    pub model: String,
    pub priority: u32,
    pub weight: u32,
    /// Of all weights of its priority.
    pub of: u64,
    pub fate: Fate,
}

/// What became of a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Chosen,
    /// By the word of records: `cooled`, `dialect`, `not_allowed`.
    PassedOver(String),
    /// It is drained.
    NoWeight,
    /// It was another one's turn.
    Other,
    /// One of a lower priority was there.
    NotNeeded,
}

/// A rule that names the model and did not take the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    pub rule: String,
    pub why: String,
}

/// One document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `KIND/NAME`, or `KIND/NAMESPACE/NAME`.
    pub id: Arc<str>,
    /// Of whose calls it speaks; none for all.
    pub namespace: Option<Arc<str>>,
    pub mode: Mode,
    pub standing: Standing,
    /// The limits or rules in it.
    pub names: Vec<Arc<str>>,
    /// The limits of a policy that speaks for the call.
    pub limits: Vec<Met>,
}

/// How a document stands to the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Allows,
    Refuses(String),
    /// It counts, and what it comes to is not decided from the configuration alone.
    Applies,
    /// This one is more particular about the call, and one of the kind counts.
    Replaced(Arc<str>),
    /// This one is as particular and was written before it.
    Conflicted(Arc<str>),
    /// The first condition that is not met.
    NotMet(String),
    /// Nothing was chosen that it could be about.
    NotAsked,
}

// === impl Question ===

impl<'a> Question<'a> {
    /// Works it out.
    pub fn explain(&self) -> Explanation {
        let (mut applied, mut others) = documents::stand(self).into_iter().partition::<Vec<_>, _>(Line::applies);
        let omitted = applied.len().saturating_sub(DOCUMENTS) + others.len().saturating_sub(DOCUMENTS);
        if others.len() > DOCUMENTS {
            // What other namespaces say takes nobody's place.
            let is_foreign = |line: &Line| line.namespace.as_ref().is_some_and(|own| *own != self.caller.namespace);
            others.sort_by_key(is_foreign);
        }
        applied.truncate(DOCUMENTS);
        others.truncate(DOCUMENTS);
        Explanation { caller: caller::describe(self), route: route::describe(self), applied, others, omitted }
    }

    /// What the caller's namespace says of where calls go, and then what root says: as they are asked.
    fn tables(&self) -> impl Iterator<Item = &'a Table> + use<'a> {
        let targets = &self.policy.targets;
        targets.own.get(&*self.caller.namespace).into_iter().chain([&targets.root])
    }

    /// The rules that are there for the call, each with the number of its table.
    fn rules(&self) -> impl Iterator<Item = (usize, &'a Rule)> + use<'a> {
        self.tables().enumerate().flat_map(|(at, table)| table.rules.iter().map(move |rule| (at, rule)))
    }

    /// The rule that took the call.
    fn rule(&self) -> Option<&'a Rule> {
        let name = self.went?.rule?;
        self.rules().map(|(_, rule)| rule).find(|rule| **rule.name.text() == *name)
    }

    /// Where the call goes, as far as documents point at it.
    fn place(&self) -> Option<Place<'a>> {
        let went = self.went?;
        let is_it = |name: &&RuleName| went.rule.is_some_and(|rule| **name.text() == *rule);
        let name = match self.asked {
            Asked::Path { .. } => self.tables().flat_map(|table| &table.passthrough).map(|one| &one.route).find(is_it),
            _ => self.rules().map(|(_, rule)| &rule.name).find(is_it),
        };
        Some(Place::new(name, went.backend))
    }

    /// The index of the backend.
    fn backend(&self) -> Option<usize> {
        let went = self.went?;
        self.policy.targets.backends.iter().position(|backend| *backend.name == *went.backend)
    }

    /// Asks about the model as access policies are asked about it.
    fn with_model(&self, index: usize, ask: impl FnOnce(Model<'_>)) {
        match (self.asked, self.went, self.policy.targets.backends.get(index)) {
            (Asked::Model { model, .. }, Some(went), Some(backend)) => {
                let long = access::long_name(backend, went.model);
                let rule = self.rule().map(|rule| &rule.name);
                ask(Model::Named(access::names(model, went.model, &long, backend, rule)));
            }
            (Asked::Path { hidden: true }, ..) => ask(Model::Unreadable),
            _ => ask(Model::None),
        }
    }
}

// === impl Line ===

impl Line {
    /// Whether the document speaks for the call.
    pub fn applies(&self) -> bool {
        matches!(self.standing, Standing::Allows | Standing::Refuses(_) | Standing::Applies)
    }
}

/// A text of bounded length.
fn clip(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
