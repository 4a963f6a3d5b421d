//! Every model name that a caller can use here, for the list of models.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::way::Way;
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
    /// The names that a caller can use, sorted. `asked` tells who asks, and what rules may match on; its
    /// model and operation mean nothing. `admits` says whether the caller, who says the second name, may
    /// go to a target.
    ///
    /// | name | listed |
    /// |---|---|
    /// | an exact model of a rule | if one of the rule's backends is admitted |
    /// | a catalogue model that one backend serves | if that backend, or the rule that matches it, is |
    /// | a catalogue model that several serve | as itself if a rule says which, else as `BACKEND/MODEL` of those that the catalogue knows to have it |
    ///
    /// Every other `BACKEND/MODEL` works as well and is not listed: it would say everything twice.
    pub fn names<'a>(&'a self, asked: Asked<'a>, admits: impl Fn(&Target, &str) -> bool) -> Vec<Name> {
        let tables = || self.own.get(asked.namespace).into_iter().chain([&self.root]);
        let mut names: BTreeMap<Arc<str>, Arc<Backend>> = BTreeMap::new();
        let rules = tables().flat_map(|table| &table.rules);
        let models = rules.flat_map(|rule| rule.matches.iter().filter_map(|one| one.model.as_ref()));
        for glob in models.filter(|glob| glob.is_exact()) {
            // The rule that is asked here is the one that a call would get.
            let model = glob.as_str();
            let backend = self.listed(model, None, asked, &admits);
            names.extend(backend.map(|backend| (model.into(), backend)));
        }
        for model in self.models.keys() {
            let mut serving: Vec<usize> = tables().flat_map(|table| self.serving(table, model)).collect();
            if serving.is_empty() {
                continue;
            }
            let asked = Asked { model, operation: Operation::Chat, ..asked };
            if self.rule_for(model, asked).is_some() || self.way(&asked).is_ok() {
                let backend = self.listed(model, Some(&serving), asked, &admits);
                names.extend(backend.map(|backend| (model.clone(), backend)));
                continue;
            }
            serving.sort_unstable();
            // Of a server that takes any name nobody knows which it has; all names for each would be thousands.
            serving.retain(|&index| self.serves.get(index).is_some_and(|serves| serves.list.is_some()));
            for index in serving {
                let target = self.target(index, model.clone());
                let Some(id) = self.spelled(index, model, asked.namespace) else { continue };
                let backend = self.admitted(target, &id, &admits);
                names.extend(backend.map(|backend| (id, backend)));
            }
        }
        names.into_iter().map(|(id, backend)| Name { id, backend }).collect()
    }

    /// The rule that takes a call of this model, whatever it is asked for.
    fn rule_for<'a>(&'a self, model: &'a str, asked: Asked<'a>) -> Option<&'a Rule> {
        OPERATIONS.iter().find_map(|&operation| match self.way(&Asked { model, operation, ..asked }) {
            Ok(Way::Rule(rule)) => Some(rule),
            _ => None,
        })
    }

    /// The backend that a caller gets by this name, the first of several; `known` are those that serve it.
    fn listed<'a>(
        &'a self,
        model: &'a str,
        known: Option<&[usize]>,
        asked: Asked<'a>,
        admits: &impl Fn(&Target, &str) -> bool,
    ) -> Option<Arc<Backend>> {
        if let Some(rule) = self.rule_for(model, asked) {
            return self.serves(rule, model, known, admits);
        }
        let asked = Asked { model, operation: Operation::Chat, ..asked };
        match self.way(&asked) {
            Ok(Way::Backend(index, leaving)) => {
                let leaving = leaving.unwrap_or(model).into();
                self.admitted(self.target(index, leaving), model, admits)
            }
            _ => None,
        }
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
                let leaving = choice.leaving(&self.backends[choice.backend], model).into();
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
    use super::super::{Choice, Choosing, Glob, Health, Match, Serves};
    use super::*;
    use crate::llm::Dialect;

    fn backend(name: &str) -> Backend {
        Backend {
            name: name.into(),
            namespace: None,
            provider: "openai".into(),
            dialect: Dialect::OpenAi,
            authority: "x".into(),
            prefix: String::new(),
            asks_stream_usage: false,
            speaks: crate::wire::Speaks::default(),
            azure: None,
            quirks: Vec::new(),
            headers: Vec::new(),
            removed_headers: Vec::new(),
        }
    }

    fn rule(model: &str, backend: usize, renamed: Option<&str>, weight: u32) -> Rule {
        let choices = vec![Choice { backend, model: renamed.map(Arc::from), priority: 0, weight }];
        let matches = vec![Match { model: Some(Glob::new(model)), ..Match::default() }];
        Rule { name: "r/r".into(), matches, choices, ..Rule::default() }
    }

    fn targets() -> Targets {
        let serves = |list: &str| Serves { list: Some(list.into()), by_name_alone: false };
        let lists = |model: &str, lists: &[&str]| (model.into(), lists.iter().map(|list| (*list).into()).collect());
        let models = [
            lists("gpt-a", &["one"]),
            lists("gpt-b", &["two"]),
            lists("o9", &["two"]),
            lists("gpt-c", &["one", "two"]),
            lists("gpt-d", &[]),
            lists("m", &["one", "two"]),
            lists("n", &[]),
        ];
        let backends = vec![(backend("one"), serves("one")), (backend("two"), serves("two"))];
        let mut targets = Targets::new(backends, models.into());
        targets.root.rules = vec![
            rule("fast", 1, Some("gpt-b"), 1),
            rule("off", 0, None, 0),
            rule("gpt-*", 0, None, 1),
            rule("fast", 0, Some("never"), 1),
        ]
        .into();
        targets
    }

    fn asked(model: &str) -> Asked<'_> {
        Asked { namespace: "", model, operation: Operation::Chat, header: &|_| None, caller: &|_| true }
    }

    fn listed(admits: impl Fn(&Target, &str) -> bool) -> Vec<String> {
        let names = targets().names(asked(""), admits);
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
        for name in targets.names(asked(""), |_, _| true) {
            let health = Health::new();
            let how = Choosing::plain(0, Dialect::OpenAi, &health);
            let target = targets.resolve(&name.id, &asked(&name.id), &how).unwrap().target;
            assert_eq!(target.backend.name, name.backend.name, "{}", name.id);
        }
    }
}
