//! Which backend serves a bare model name. Only the catalogue's own names are looked at: any other
//! goes to the only backend there is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::provider::Providers;

/// What one backend serves.
#[derive(Clone, Debug)]
pub(super) struct Serves {
    /// The row of the catalogue whose models it serves; none for every name.
    pub provider: Option<Arc<str>>,
    /// There is a credential, or none is wanted.
    pub usable: bool,
}

/// Bare names, in the two maps of [`crate::target::Targets`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Bare {
    pub bare: HashMap<Arc<str>, usize>,
    pub ambiguous: HashMap<Arc<str>, Vec<usize>>,
}

/// Sorts the catalogue's models by how many of the backends with a credential serve them.
pub(super) fn sort(backends: &[Serves], providers: &dyn Providers) -> Bare {
    let mut lists: HashMap<Arc<str>, HashSet<Arc<str>>> = HashMap::new();
    for provider in backends.iter().filter_map(|backend| backend.provider.as_ref()) {
        lists.entry(provider.clone()).or_insert_with(|| providers.models_of(provider).into_iter().collect());
    }
    let serves = |backend: &Serves, model: &Arc<str>| match &backend.provider {
        None => true,
        Some(provider) => lists.get(provider).is_some_and(|models| models.contains(model)),
    };
    let mut sorted = Bare::default();
    for model in providers.all_models() {
        // The only backend gets what it serves even without a credential: the refusal then says
        // which key is missing, and not that nobody knows the model.
        if let [only] = backends
            && serves(only, &model)
            && !only.usable
        {
            continue;
        }
        let usable = backends.iter().enumerate().filter(|(_, backend)| backend.usable && serves(backend, &model));
        match *usable.map(|(index, _)| index).collect::<Vec<usize>>() {
            [only] => drop(sorted.bare.insert(model, only)),
            ref several => drop(sorted.ambiguous.insert(model, several.to_vec())),
        }
    }
    sorted
}
