//! What a served name may lose on the way to its price row. Tried in this order, each exactly:
//!
//! 1. the name itself;
//! 2. a fine-tuned model without its owner, `ft:gpt-4o-2024-08-06:acme::id` as `ft:gpt-4o-2024-08-06`
//!    (never as the model it was tuned from, whose price is another);
//! 3. without a date at its end, `-2024-07-18`, `-20240718` or `@20240718`, or without `@default` and
//!    `@latest`;
//! 4. all of these for what the name wraps, from the outside in:
//!    the provider's own id in front (`openai/gpt-4o`), a resource path (`models/…`,
//!    `publishers/google/models/…`, `projects/…/publishers/…/models/…`, also as `PUBLISHER/…`), an ARN of Bedrock
//!    (`…:foundation-model/…`, `…:inference-profile/…`).
//!
//! In a region each of them is first looked for as `REGION/NAME`. A geography in front of a Bedrock name
//! (`us.`, `eu.`, `global.`) is never lost: such a profile has a price of its own, up to 1.4 times the
//! model's. Nor is what an `accounts/fireworks/models/` name begins with: rows carry it.

/// Looks up the spellings of a name, then those of what it wraps.
pub fn find<'a, T>(
    provider: &str,
    region: Option<&str>,
    model: &str,
    get: impl Fn(&str) -> Option<&'a T>,
) -> Option<&'a T> {
    let look = |name: &str| {
        let mut names = spellings(name);
        names.find_map(|name| {
            let there = region.and_then(|region| get(&format!("{region}/{name}")));
            there.or_else(|| get(name))
        })
    };
    // A provider's id stands in front once, or it is a part of the name.
    let own = bare(provider, model).filter(|name| !name.is_empty());
    for whole in [Some(model), own].into_iter().flatten() {
        let mut wrapped = Some(whole);
        while let Some(name) = wrapped {
            let found = look(name).or_else(|| published(name).and_then(|name| look(&name)));
            if found.is_some() {
                return found;
            }
            // What is left is shorter each time.
            wrapped = unwrapped(name);
        }
    }
    None
}

/// The name without the provider's id in front, if it has it.
pub fn bare<'a>(provider: &str, model: &'a str) -> Option<&'a str> {
    model.strip_prefix(provider)?.strip_prefix('/')
}

/// The names under which a price row may stand, the most exact first.
pub fn spellings(model: &str) -> impl Iterator<Item = &str> {
    let tuned = without_owner(model);
    let stem = tuned.unwrap_or(model);
    [Some(model), tuned, without_date(stem)].into_iter().flatten()
}

/// What the outermost wrapping of a name holds.
fn unwrapped(model: &str) -> Option<&str> {
    let path = || {
        // A model of a project without a publisher is somebody's own, whatever it is called.
        let is_path = model.starts_with("models/")
            || model.starts_with("publishers/")
            || (model.starts_with("projects/") && model.contains("/publishers/"));
        let name = model.rsplit_once("models/").filter(|_| is_path)?.1;
        (!name.contains('/')).then_some(name)
    };
    let arn = || {
        let rest = model.strip_prefix("arn:").filter(|rest| rest.contains(":bedrock:"))?;
        let (kind, name) = rest.split_once('/')?;
        let kind = kind.rsplit_once(':')?.1;
        matches!(kind, "foundation-model" | "inference-profile").then_some(name)
    };
    path().or_else(arn).filter(|name| !name.is_empty())
}

/// `publishers/meta/models/llama` and the like as `meta/llama`, which is how rows of others than Google
/// are named.
fn published(model: &str) -> Option<String> {
    let (_, rest) = model
        .split_once("publishers/")
        .filter(|(before, _)| before.is_empty() || (before.starts_with("projects/") && before.ends_with('/')))?;
    let (publisher, name) = rest.split_once("/models/")?;
    let whole = !publisher.is_empty() && !publisher.contains('/') && !name.is_empty() && !name.contains('/');
    whole.then(|| format!("{publisher}/{name}"))
}

/// `ft:BASE:OWNER:…` as `ft:BASE`.
fn without_owner(model: &str) -> Option<&str> {
    let base = model.strip_prefix("ft:")?.split_once(':')?.0;
    model.get(.."ft:".len() + base.len())
}

/// A name without `-YYYY-MM-DD`, `-YYYYMMDD` or `@YYYYMMDD` at its end, or without an `@` that says no
/// version. Shorter numbers are versions, not dates.
fn without_date(model: &str) -> Option<&str> {
    if let Some((stem, version)) = model.rsplit_once('@') {
        let says_none = matches!(version, "default" | "latest") || is_packed(version);
        return (says_none && !stem.is_empty()).then_some(stem);
    }
    let (stem, last) = model.rsplit_once('-')?;
    let stem = match last.len() {
        8 => is_packed(last).then_some(stem),
        2 => {
            let (stem, month) = stem.rsplit_once('-')?;
            let (stem, year) = stem.rsplit_once('-')?;
            is_date(year, month, last).then_some(stem)
        }
        _ => None,
    };
    stem.filter(|stem| !stem.is_empty())
}

/// `YYYYMMDD`.
fn is_packed(text: &str) -> bool {
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    text.len() == 8 && is_date(part(0..4), part(4..6), part(6..8))
}

/// True for a day that a model may be dated with; which months have 31 days does not matter.
fn is_date(year: &str, month: &str, day: &str) -> bool {
    let number = |text: &str, length: usize| {
        let digits = text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u32>().ok().filter(|_| digits)
    };
    number(year, 4).is_some_and(|year| (2000..2100).contains(&year))
        && number(month, 2).is_some_and(|month| (1..=12).contains(&month))
        && number(day, 2).is_some_and(|day| (1..=31).contains(&day))
}

#[cfg(test)]
mod tests;
