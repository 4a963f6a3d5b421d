//! Every model name that a caller can use here, for the list of models.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Asked, Backend, Rule, Target, Targets};
use crate::llm::Operation;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub id: Arc<str>,
    /// The backend that serves it, or the first of several.
    pub backend: Arc<Backend>,
}

/// What a model can be asked for. A rule of one of these alone makes its models callable as well.
const OPERATIONS: [Operation; 8] = [
    Operation::Chat,
    Operation::Responses,
    Operation::Completion,
    Operation::Embeddings,
    Operation::Image,
    Operation::Audio,
    Operation::Moderation,
    Operation::Rerank,
];

// === impl Targets ===

impl Targets {
    /// The names, sorted. `header` tells the caller's headers, which rules may match on; `admits` says
    /// whether the caller, who says the second name, may go to a target.
    ///
    /// | name | listed |
    /// |---|---|
    /// | an exact model of a rule | if one of the rule's backends is admitted |
    /// | a catalogue model that one backend serves | if that backend, or the rule that matches it, is |
    /// | a catalogue model that several serve | as itself if a rule says which, else as `BACKEND/MODEL` |
    ///
    /// Every other `BACKEND/MODEL` works as well and is not listed: it would say everything twice.
    pub fn names<'a>(
        &'a self,
        header: &'a dyn Fn(&str) -> Option<&'a str>,
        admits: impl Fn(&Target, &str) -> bool,
    ) -> Vec<Name> {
        let rule_for = |model: &'a str| {
            OPERATIONS.iter().find_map(|&operation| self.rules.find(&Asked { model, operation, header }))
        };
        let mut names: BTreeMap<Arc<str>, Arc<Backend>> = BTreeMap::new();
        let models = self.rules.iter().flat_map(|rule| rule.matches.iter().filter_map(|one| one.model.as_ref()));
        let exact = models.filter(|glob| glob.is_exact());
        for glob in exact {
            // The rule that is asked here is the one that a call would get.
            let rule = rule_for(glob.as_str());
            if let Some(backend) = rule.and_then(|rule| self.serves(rule, glob.as_str(), None, &admits)) {
                names.insert(glob.as_str().into(), backend);
            }
        }
        for (model, &index) in &self.bare {
            let backend = match rule_for(model) {
                Some(rule) => self.serves(rule, model, Some(&[index]), &admits),
                None => self.admitted(self.target(index, model.clone()), model, &admits),
            };
            names.extend(backend.map(|backend| (model.clone(), backend)));
        }
        for (model, backends) in &self.ambiguous {
            if let Some(rule) = rule_for(model) {
                let backend = self.serves(rule, model, Some(backends), &admits);
                names.extend(backend.map(|backend| (model.clone(), backend)));
                continue;
            }
            for &index in backends {
                let target = self.target(index, model.clone());
                let id: Arc<str> = format!("{}/{model}", target.backend.name).into();
                let backend = self.admitted(target, &id, &admits);
                names.extend(backend.map(|backend| (id, backend)));
            }
        }
        names.into_iter().map(|(id, backend)| Name { id, backend }).collect()
    }

    /// The first backend of a rule that has the model. A choice that renames is taken at its word, one
    /// that does not has to be among `known`, if that is given.
    fn serves(
        &self,
        rule: &Rule,
        model: &str,
        known: Option<&[usize]>,
        admits: &impl Fn(&Target, &str) -> bool,
    ) -> Option<Arc<Backend>> {
        let usable = rule.choices.iter().filter(|choice| choice.weight > 0);
        usable
            .filter(|choice| choice.model.is_some() || known.is_none_or(|known| known.contains(&choice.backend)))
            .filter(|choice| choice.backend < self.backends.len())
            .find_map(|choice| {
                let leaving = choice.model.clone().unwrap_or_else(|| model.into());
                let target = Target { rule: Some(rule.name.clone()), ..self.target(choice.backend, leaving) };
                self.admitted(target, model, admits)
            })
    }

    fn admitted(
        &self,
        target: Target,
        requested: &str,
        admits: &impl Fn(&Target, &str) -> bool,
    ) -> Option<Arc<Backend>> {
        admits(&target, requested).then_some(target.backend)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Choice, Choosing, Glob, Health, Match, Sticky};
    use super::*;
    use crate::base::now::Instant;
    use crate::llm::Dialect;

    fn backend(name: &str) -> Arc<Backend> {
        Arc::new(Backend {
            name: name.into(),
            namespace: None,
            provider: "openai".into(),
            dialect: Dialect::OpenAi,
            authority: "x".into(),
            prefix: String::new(),
            asks_stream_usage: false,
            quirks: Vec::new(),
            headers: Vec::new(),
            removed_headers: Vec::new(),
        })
    }

    fn rule(model: &str, backend: usize, renamed: Option<&str>, weight: u32) -> Rule {
        let choices = vec![Choice { backend, model: renamed.map(Arc::from), priority: 0, weight }];
        let matches = vec![Match { model: Some(Glob::new(model)), ..Match::default() }];
        Rule { name: "r/r".into(), matches, choices, ..Rule::default() }
    }

    fn targets() -> Targets {
        Targets {
            backends: vec![backend("one"), backend("two")],
            rules: vec![
                rule("fast", 1, Some("gpt-b"), 1),
                rule("off", 0, None, 0),
                rule("gpt-*", 0, None, 1),
                rule("fast", 0, Some("never"), 1),
            ]
            .into(),
            bare: [("gpt-a".into(), 0), ("gpt-b".into(), 1), ("o9".into(), 1)].into(),
            ambiguous: [
                ("gpt-c".into(), vec![0, 1]),
                ("gpt-d".into(), vec![]),
                ("m".into(), vec![0, 1]),
                ("n".into(), vec![]),
            ]
            .into(),
            ..Targets::default()
        }
    }

    fn listed(admits: impl Fn(&Target, &str) -> bool) -> Vec<String> {
        let names = targets().names(&|_| None, admits);
        names.iter().map(|name| format!("{} {}", name.id, name.backend.name)).collect()
    }

    #[test]
    fn what_can_be_called_is_listed_once_and_sorted() {
        assert_eq!(listed(|_, _| true), ["fast two", "gpt-a one", "gpt-c one", "o9 two", "one/m one", "two/m two"]);
    }

    #[test]
    fn what_is_not_admitted_is_not_listed() {
        assert_eq!(listed(|target, _| &*target.backend.name == "two"), ["fast two", "o9 two", "two/m two"]);
        assert_eq!(listed(|target, _| &*target.model == "gpt-b"), ["fast two"], "the model that would leave counts");
        assert!(listed(|_, _| false).is_empty());
    }

    #[test]
    fn what_is_listed_resolves_to_the_backend_that_is_named() {
        let targets = targets();
        for name in targets.names(&|_| None, |_, _| true) {
            let asked = Asked { model: &name.id, operation: Operation::Chat, header: &|_| None };
            let (health, dialect) = (Health::new(), Dialect::OpenAi);
            let (sticky, now) = (Sticky::default(), Instant(0));
            let how = Choosing { draw: 0, dialect, sticky, health: &health, now, admits: &|_| true };
            let target = targets.resolve(&name.id, &asked, &how).unwrap().target;
            assert_eq!(target.backend.name, name.backend.name, "{}", name.id);
        }
    }
}
