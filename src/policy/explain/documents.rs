//! How every document stands to a call. A kind that is added is a row of [`KINDS`].

use super::{Line, Question, Standing, limits};
use crate::identity::Principal;
use crate::policy::Policy;
use crate::policy::access::{self, Verdict};
use crate::policy::combine::{self, Named, Scoped};
use crate::policy::select::{Place, Scope};

/// The documents of one kind.
type Kind = fn(&Question<'_>, &mut Vec<Line>);

/// All kinds, in the order in which they are told of.
const KINDS: &[Kind] = &[
    access,
    limit,
    |question, lines| replaced(question, &question.policy.documents.caches, lines),
    |question, lines| accumulated(question, &question.policy.documents.guards, lines),
];

pub(super) fn stand(question: &Question<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    KINDS.iter().for_each(|kind| kind(question, &mut lines));
    lines
}

/// Access policies: what each says can be told.
fn access(question: &Question<'_>, lines: &mut Vec<Line>) {
    let policy: &Policy = question.policy;
    let (Some(place), Some(index)) = (question.place(), question.backend()) else {
        return lines.extend(policy.access.iter().map(|document| unasked(question, document)));
    };
    question.with_model(index, |model| {
        let visit = policy.visit(index, place, model);
        lines.extend(access::explain(&policy.access, question.caller, visit).map(|(document, verdict)| {
            let standing = match verdict {
                Verdict::Unmet(unmet) => Standing::NotMet(unmet.to_string()),
                Verdict::Allowed => Standing::Allows,
                Verdict::Refused(refused) => Standing::Refuses(refused.to_string()),
            };
            line(&document.scope, standing)
        }));
    });
}

/// Limit policies: what each of their limits allows can be told.
fn limit(question: &Question<'_>, lines: &mut Vec<Line>) {
    lines.extend(question.policy.limits.iter().map(|policy| {
        let Some(place) = question.place() else { return unasked(question, policy) };
        let (standing, limits) = match policy.scope.admits(question.caller, place) {
            Ok(()) => (Standing::Applies, limits::describe(question, policy, place)),
            Err(unmet) => (Standing::NotMet(unmet.to_string()), Vec::new()),
        };
        let names = policy.rules.iter().map(|rule| rule.limit.name.clone()).collect();
        Line { names, limits, ..line(&policy.scope, standing) }
    }));
}

/// Of a kind of which every document counts that speaks for a call.
fn accumulated(question: &Question<'_>, documents: &[Named], lines: &mut Vec<Line>) {
    lines.extend(documents.iter().map(|document| match question.place() {
        None => unasked(question, document),
        Some(place) => {
            let standing = match document.scope.admits(question.caller, place) {
                Ok(()) => Standing::Applies,
                Err(unmet) => Standing::NotMet(unmet.to_string()),
            };
            named(document, standing)
        }
    }));
}

/// Of a kind of which one document counts.
fn replaced(question: &Question<'_>, documents: &[Named], lines: &mut Vec<Line>) {
    let Some(place) = question.place() else {
        return lines.extend(documents.iter().map(|document| unasked(question, document)));
    };
    lines.extend(combine::standings(documents.iter(), question.caller, place).map(|(document, standing)| {
        let standing = match standing {
            combine::Standing::Unmet => not_met(document, question.caller, place),
            combine::Standing::Applies => Standing::Applies,
            combine::Standing::Replaced(by) => Standing::Replaced(by.id.clone()),
            combine::Standing::Conflicted(with) => Standing::Conflicted(with.id.clone()),
        };
        named(document, standing)
    }));
}

/// Why a document does not speak for a call.
fn not_met(document: &Named, caller: &Principal, place: Place<'_>) -> Standing {
    let unmet = document.scope.admits(caller, place).err();
    Standing::NotMet(unmet.map_or_else(String::new, |unmet| unmet.to_string()))
}

/// A document of a call that was refused before a backend was chosen: of two halves of its scope only
/// one can be looked at.
fn unasked(question: &Question<'_>, document: &impl Scoped) -> Line {
    let standing = match document.scope().admits_caller(question.caller) {
        Err(unmet) if !question.caller.name.is_empty() => Standing::NotMet(unmet.to_string()),
        _ => Standing::NotAsked,
    };
    line(document.scope(), standing)
}

fn named(document: &Named, standing: Standing) -> Line {
    Line { names: document.names.clone(), ..line(&document.scope, standing) }
}

fn line(scope: &Scope, standing: Standing) -> Line {
    let (id, namespace) = (scope.id.clone(), scope.namespace.clone());
    Line { id, namespace, mode: scope.mode, standing, names: Vec::new(), limits: Vec::new() }
}
