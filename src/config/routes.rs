//! LLMRoutes to the rules and passthroughs of their namespaces. Compiling cannot fail: references were
//! checked before.

use std::collections::HashMap;
use std::sync::Arc;

use super::discovery;
use super::reach::Reach;
use super::spec::{LlmRoute, RouteMatch, RouteRule};
use super::validate::{Entry, Set};
use crate::llm::Dialect;
use crate::policy::select::Callers;
use crate::target::{Choice, Glob, Match, Passthrough, Rule, RuleName, Targets};

/// Whom matches name, each list once.
struct Named<'a> {
    reach: &'a Reach<'a>,
    callers: Vec<Callers>,
    known: HashMap<Callers, usize>,
}

/// Puts all routes into the tables of their namespaces; comes back with those whom their matches name.
pub(super) fn compile(set: &Set<'_>, reach: &Reach<'_>, targets: &mut Targets) -> Vec<Callers> {
    let mut named = Named { reach, callers: Vec::new(), known: HashMap::new() };
    let mut rules: HashMap<Option<&str>, Vec<Rule>> = HashMap::new();
    for (document, route) in &set.routes {
        let namespace = set.namespace(document);
        let compiled = route.rules.iter().map(|rule| compile_rule(namespace, route, rule, set, &mut named));
        rules.entry(namespace).or_default().extend(compiled);
        targets.table_mut(namespace).passthrough.extend(compile_passthrough(namespace, route, set));
    }
    for (namespace, rules) in rules {
        targets.table_mut(namespace).rules = rules.into();
    }
    let implied = implied_passthrough(set, targets);
    targets.root.passthrough.extend(implied);
    named.callers
}

fn compile_passthrough(namespace: Option<&str>, route: &LlmRoute, set: &Set<'_>) -> Option<Passthrough> {
    let passthrough = route.passthrough.as_ref()?;
    Some(Passthrough {
        route: RuleName::passthrough(namespace, &route.name),
        backend: set.index(namespace, &passthrough.backend.value)?,
        paths: passthrough.paths.iter().map(|path| Glob::new(path)).collect(),
    })
}

fn compile_rule(
    namespace: Option<&str>,
    route: &LlmRoute,
    rule: &RouteRule,
    set: &Set<'_>,
    named: &mut Named<'_>,
) -> Rule {
    let choices = rule.backends.iter().filter_map(|choice| {
        Some(Choice {
            backend: set.index(namespace, &choice.backend.value)?,
            model: choice.model.as_deref().map(Into::into),
            priority: choice.priority,
            weight: choice.weight,
        })
    });
    Rule {
        name: RuleName::new(namespace, &route.name, &rule.name),
        matches: rule.matches.iter().map(|one| compile_match(namespace, one, named)).collect(),
        choices: choices.collect(),
        affinity: rule.affinity.clone(),
        retry: rule.retry.clone(),
        failover: rule.failover,
        changes: rule.changes.clone().map(Arc::new),
        refuses_loss: rule.refuses_loss,
    }
}

fn compile_match(namespace: Option<&str>, one: &RouteMatch, named: &mut Named<'_>) -> Match {
    let from = one.from.as_ref().map(|from| named.index(named.reach.callers(namespace, from)));
    Match { from, ..one.says.clone() }
}

/// Discovery sends OpenAI's paths without a model to `openai`, else to the only provider it found.
/// What a document says comes before it.
fn implied_passthrough(set: &Set<'_>, targets: &Targets) -> Option<Passthrough> {
    let found = || set.backends.iter().enumerate().filter(|(_, entry)| entry.discovered);
    let is_openai = |entry: &Entry| entry.backend.name == "openai";
    let openai = found().find(|(_, entry)| is_openai(entry));
    let (backend, _) = openai.or_else(|| found().next().filter(|_| found().count() == 1))?;
    targets.backends.get(backend).filter(|backend| backend.dialect == Dialect::OpenAi)?;
    let paths = discovery::PASSTHROUGH.iter().map(|path| Glob::new(path)).collect();
    Some(Passthrough { route: RuleName::passthrough(None, discovery::ROUTE), backend, paths })
}

// === impl Named ===

impl Named<'_> {
    fn index(&mut self, callers: Callers) -> usize {
        *self.known.entry(callers).or_insert_with_key(|callers| {
            self.callers.push(callers.clone());
            self.callers.len() - 1
        })
    }
}
