//! Which lists of the catalogue a model stands in. A list is what the catalogue knows of one provider;
//! only the catalogue's own names are looked at.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::provider::Providers;
use crate::target::Serves;

/// Every model that the catalogue knows, with those of the lists in use that it stands in.
pub(super) fn listed<'a>(
    serves: impl Iterator<Item = &'a Serves>,
    providers: &dyn Providers,
) -> HashMap<Arc<str>, Vec<Arc<str>>> {
    let mut models: HashMap<Arc<str>, Vec<Arc<str>>> =
        providers.all_models().into_iter().map(|model| (model, Vec::new())).collect();
    let lists: BTreeSet<&Arc<str>> = serves.filter_map(|serves| serves.list.as_ref()).collect();
    for list in lists {
        for model in providers.models_of(list) {
            models.entry(model).or_default().push(list.clone());
        }
    }
    models
}
