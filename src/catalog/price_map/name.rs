//! The name of a member of the map: `[PROVIDER/][QUALITY/][WxH/[STEPS/]]MODEL`, and whose it is.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

const PROVIDERS: &str = include_str!("providers.toml");

/// The qualities that stand in names, before a size.
const QUALITIES: &[&str] = &["low", "medium", "high", "xhigh", "max", "hd", "standard", "auto"];

/// How the map names providers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Providers {
    rename: BTreeMap<String, String>,
    prefix: BTreeMap<String, String>,
    inclusive: BTreeMap<String, String>,
}

/// A name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) model: &'a str,
    /// The provider stands in the name; a name without it may be another's.
    pub(super) prefixed: bool,
    /// The size of images, as requests spell it.
    pub(super) size: Option<String>,
    /// Their quality, or how many steps they take.
    pub(super) quality: Option<&'a str>,
}

// === impl Providers ===

impl Providers {
    /// The table of this program. A test reads it.
    pub(super) fn builtin() -> &'static Providers {
        static BUILTIN: OnceLock<Providers> = OnceLock::new();
        BUILTIN.get_or_init(|| toml::from_str(PROVIDERS).unwrap_or_default())
    }

    /// Weir's id of a provider of the map.
    pub(super) fn id<'a>(&'a self, provider: &'a str) -> &'a str {
        if let Some(id) = self.rename.get(provider) {
            return id;
        }
        let family = self.rename.iter().find(|(name, _)| {
            name.strip_suffix('*').is_some_and(|start| !start.is_empty() && provider.starts_with(start))
        });
        family.map_or(provider, |(_, id)| id)
    }

    /// Whether "above" includes the number itself.
    pub(super) fn is_inclusive(&self, id: &str) -> bool {
        self.inclusive.contains_key(id)
    }

    /// Takes the name of a member apart; `provider` is the map's.
    pub(super) fn name<'a>(&self, provider: &str, key: &'a str) -> Name<'a> {
        let id = self.id(provider);
        let prefixes = [Some(provider), Some(id), self.prefix.get(id).map(String::as_str)];
        let without =
            |name: &'a str| prefixes.iter().flatten().find_map(|prefix| name.strip_prefix(prefix)?.strip_prefix('/'));
        let (rest, prefixed) = without(key).map_or((key, false), |rest| (rest, true));
        let (model, size, quality) = sized(rest);
        // `1024-x-1024/50-steps/bedrock/amazon.nova-canvas-v1:0`
        let model = size.as_ref().and_then(|_| without(model)).unwrap_or(model);
        Name { model, prefixed, size, quality }
    }
}

/// `hd/1024-x-1792/m`, `1024-x-1792/m` and `1024-x-1024/50-steps/m`.
fn sized(name: &str) -> (&str, Option<String>, Option<&str>) {
    let whole = (name, None, None);
    let Some((first, rest)) = name.split_once('/') else { return whole };
    if let Some(size) = size(first) {
        return match rest.split_once('/').filter(|(steps, _)| steps.ends_with("-steps")) {
            Some((steps, model)) => (model, Some(size), Some(steps)),
            None => (rest, Some(size), None),
        };
    }
    let Some((second, model)) = rest.split_once('/').filter(|_| QUALITIES.contains(&first)) else { return whole };
    size(second).map_or(whole, |size| (model, Some(size), Some(first)))
}

/// `1024-x-1792` as `1024x1792`; the largest there is as `max`.
fn size(text: &str) -> Option<String> {
    let (width, height) = text.split_once("-x-")?;
    if (width, height) == ("max", "max") {
        return Some("max".to_owned());
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(width) && is_number(height)).then(|| format!("{width}x{height}"))
}

#[cfg(test)]
mod tests;
