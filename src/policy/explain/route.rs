//! Which rule took the call and which did not although they name its model, and the choices of the one
//! that did.

use super::{Asked, Chance, Fate, Passed, Question, RULES, Route, clip};
use crate::llm::Operation;
use crate::policy::view::View;
use crate::target::{Match, Rule};

/// An alternative of a rule in the order in which rules are asked: an exact model first, then by the rules
/// and their alternatives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    /// The caller's namespace comes before root.
    table: usize,
    is_pattern: bool,
    rule: usize,
    alternative: usize,
}

/// Whether an alternative admits the call.
enum Fit {
    Yes,
    No(String),
    /// It depends on headers, which were not kept.
    Unknown(String),
}

pub(super) fn describe(question: &Question<'_>) -> Route {
    let mut route = Route { why: why(question), ..Route::default() };
    if let Some(went) = question.went {
        route.rule = went.rule.map(clip);
        route.backend = Some(clip(went.backend));
        route.model = (!went.model.is_empty()).then(|| clip(went.model));
    }
    if let Some(rule) = question.rule() {
        route.choices = choices(question, rule);
    }
    if let Asked::Model { model, operation, .. } = question.asked {
        route.rules = passed(question, model, operation);
    }
    for list in [route.choices.len(), route.rules.len()] {
        route.omitted += list.saturating_sub(RULES);
    }
    route.choices.truncate(RULES);
    route.rules.truncate(RULES);
    route
}

fn why(question: &Question<'_>) -> String {
    let one = question.rule().is_some_and(|rule| rule.choices.iter().filter(|choice| choice.weight > 0).count() == 1);
    let text = match (question.went, question.decided.why) {
        (None, _) => "no backend was chosen",
        (Some(_), "rule" | "closed") if one => "the only backend of the rule",
        (Some(_), "rule") => "drawn by the weights of the rule",
        (Some(_), "affinity") => "where affinity keeps the caller",
        (Some(_), "closed") => "every backend of the rule is closed to the call, and this one says why",
        (Some(_), "least_cooled") => "all cool down, and its time ends first",
        (Some(_), "largest_window") => "no model of the rule can hold the call, and this one has the largest window",
        (Some(_), "signed") => "a passthrough names the path",
        (Some(_), "unsigned") => "no model is named: by the host, or the only backend there is; no key leaves",
        (Some(_), "downgrade") => "a limit sends it there",
        (Some(went), _) if went.rule.is_none() => "by the name of the model",
        (Some(_), _) => "the rule chose it",
    };
    text.to_owned()
}

fn choices(question: &Question<'_>, rule: &Rule) -> Vec<Chance> {
    let asked = match question.asked {
        Asked::Model { model, .. } => model,
        _ => "",
    };
    let name = |index: usize| question.policy.targets.backends.get(index).map_or("", |backend| &*backend.name);
    let went = question.went;
    let leaves = |choice: &crate::target::Choice| {
        let backend = question.policy.targets.backends.get(choice.backend);
        backend.map_or(asked, |backend| choice.leaving(backend, asked)).to_owned()
    };
    let is_it = |choice: &crate::target::Choice| {
        went.is_some_and(|went| went.backend == name(choice.backend) && went.model == leaves(choice))
    };
    let chosen = rule.choices.iter().position(is_it);
    let lowest = chosen.and_then(|at| rule.choices.get(at)).map(|choice| choice.priority);
    let told = rule.choices.iter().enumerate().map(|(at, choice)| {
        let (backend, model) = (name(choice.backend), leaves(choice));
        let passed_over = question.decided.passed_over.and_then(|told| told(&format!("{backend}/{model}")));
        let same = rule.choices.iter().filter(|other| other.priority == choice.priority);
        let fate = match (passed_over, lowest) {
            _ if chosen == Some(at) => Fate::Chosen,
            (Some(reason), _) => Fate::PassedOver(clip(reason)),
            _ if choice.weight == 0 => Fate::NoWeight,
            (None, Some(lowest)) if choice.priority > lowest => Fate::NotNeeded,
            _ => Fate::Other,
        };
        Chance {
            backend: clip(backend),
            model: clip(&model),
            priority: choice.priority,
            weight: choice.weight,
            of: same.map(|other| u64::from(other.weight)).sum(),
            fate,
        }
    });
    told.collect()
}

/// Rules of which an alternative names the model, except the one that took the call.
fn passed(question: &Question<'_>, model: &str, operation: Operation) -> Vec<Passed> {
    let taken = question.went.and_then(|went| went.rule);
    let rules = question.rules().enumerate();
    let named = rules.filter_map(|(at, (table, rule))| {
        let (turn, fit) = turns(question, at, rule, model, operation)?;
        Some((rule, (Turn { table, ..turn }, fit)))
    });
    let (mut others, own): (Vec<_>, Vec<_>) = named.partition(|(rule, _)| Some(&**rule.name.text()) != taken);
    let own = own.first().map(|(_, (turn, _))| *turn);
    others.sort_by_key(|(_, (turn, _))| *turn);
    let told = others.into_iter().map(|(rule, (turn, fit))| {
        let is_later = own.is_some_and(|own| own < turn);
        let why = match (fit, taken) {
            (Fit::No(why), _) => why,
            (Fit::Unknown(why), _) if !is_later => why,
            (_, Some(taken)) => format!("rule {taken} is asked before it"),
            (_, None) if question.went.is_some() => "a backend takes the name before it is asked".to_owned(),
            (_, None) => "the call was refused before it was asked".to_owned(),
        };
        Passed { rule: rule.name.to_string(), why: clip(&why) }
    });
    told.collect()
}

/// The alternative of a rule that tells why, of those that name the model: one that admits the call, or
/// may, else the first.
fn turns(question: &Question<'_>, at: usize, rule: &Rule, model: &str, operation: Operation) -> Option<(Turn, Fit)> {
    let names = |one: &Match| one.model.as_ref().is_none_or(|glob| glob.matches(model));
    let alternatives = rule.matches.iter().enumerate().filter(|(_, one)| names(one));
    let told = alternatives.map(|(alternative, one)| {
        (Turn { table: 0, is_pattern: !one.is_exact(), rule: at, alternative }, fit(question, one, operation))
    });
    told.min_by_key(|(turn, fit)| (matches!(fit, Fit::No(_)), *turn))
}

/// The first condition that an alternative which names the model does not meet.
fn fit(question: &Question<'_>, one: &Match, operation: Operation) -> Fit {
    if let Some(wanted) = one.operation.filter(|wanted| *wanted != operation) {
        return Fit::No(format!("operation wants {}, and the call is {}", wanted.as_str(), operation.as_str()));
    }
    if let Some(unmet) = unmet_caller(question, one) {
        return Fit::No(unmet);
    }
    let Some(header) = question.header else {
        let wanted: Vec<String> =
            one.headers.iter().map(|wanted| format!("{} {:?}", wanted.name, wanted.value.as_str())).collect();
        return match wanted.is_empty() {
            true => Fit::Yes,
            false => Fit::Unknown(format!("headers want {}; what the call said is not kept", wanted.join(" and "))),
        };
    };
    for wanted in &one.headers {
        let said = header(&wanted.name);
        if !said.is_some_and(|value| wanted.value.matches(value)) {
            let said = if said.is_some() { "another one" } else { "none" };
            return Fit::No(format!(
                "header {} wants {:?}, and the call has {said}",
                wanted.name,
                wanted.value.as_str()
            ));
        }
    }
    Fit::Yes
}

/// Why the caller is none of those of an alternative's `from`.
fn unmet_caller(question: &Question<'_>, one: &Match) -> Option<String> {
    let callers = question.policy.callers.get(one.from?)?;
    match View::of(callers.namespace.as_deref(), question.caller) {
        Some(caller) => callers.from.admits(caller).err().map(|unmet| unmet.to_string()),
        None => Some("it is a rule of another namespace".to_owned()),
    }
}
