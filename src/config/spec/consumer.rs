//! LLMConsumer: a caller with a name of its own, how it is recognised, and whose budget it spends. Outside
//! the root namespace all of it is said to the documents of its own namespace alone.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::form;
use super::super::read::Reader;
use super::super::shape::{Fields, Most, Rule, Shape, keyed, list, may, need};
use super::super::text;
use super::super::value;
use super::{Located, or, unique};
use crate::identity::key::{Digest, Key, State};
use crate::identity::{MAX_TAGS, Match};

/// One consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LlmConsumer {
    /// Any of these.
    pub matches: Vec<Match>,
    pub team: Option<String>,
    pub tags: Vec<(String, String)>,
    /// Where each key of `matches` stands.
    pub digests: Vec<Located<Digest>>,
}

pub(in super::super) const CONSUMER: Fields = Fields::of(&[
    need("match", list(&Shape::Object(&MATCH), 64), "How it is recognised: any entry."),
    may("team", Shape::Text(&text::NAME), "Whose budget it spends."),
    may(
        "tags",
        Shape::Map { key: &text::NAME, value: &Shape::Text(&text::NAME), most: Most::Anywhere(MAX_TAGS as u64) },
        "What its records say besides.",
    ),
]);
const MATCH: Fields = Fields {
    rows: &[
        may("keys", keyed(&Shape::Object(&KEY), "name", 64), "Keys that `weir key new` made."),
        may("namespaces", list(&Shape::Text(&text::NAME_GLOB), 64), "Namespaces of workloads, or patterns over them."),
        may("principals", list(&Shape::Text(&text::SPIFFE), 64), "SPIFFE ids, or patterns over them."),
        may("jwt", list(&Shape::Object(&CLAIM), 64), "Claims of the caller's token, any of them."),
    ],
    rules: &[Rule::OneOf(&["keys", "namespaces", "principals", "jwt"])],
};
const KEY: Fields = Fields::of(&[
    need("name", Shape::Text(&text::LABEL), "What records call it."),
    need("sha256", Shape::Text(&text::SHA256), "The digest of the key, never the key itself."),
    may("notAfter", Shape::Text(&text::TIME), "When it expires; absent means never."),
    may("state", Shape::Word(&STATES), "A blocked key is refused and still known by name.").or("Active"),
]);
const CLAIM: Fields = Fields::of(&[
    need("claim", Shape::Text(&text::NAME), "The name of the claim."),
    need("value", Shape::Text(&text::CLAIM), "All of its value; there is no wildcard."),
]);
const STATES: &[(&str, Option<State>)] = &[("Active", Some(State::Active)), ("Blocked", Some(State::Blocked))];

// === impl LlmConsumer ===

impl LlmConsumer {
    pub(in super::super) fn read(reader: &Reader<'_>) -> Option<LlmConsumer> {
        let object = reader.object(&CONSUMER)?;
        let (mut names, mut digests) = (HashSet::new(), Vec::new());
        let matches =
            object.need("match").and_then(|list| list.list(|item| read_match(&item, &mut names, &mut digests)));
        let tags = object.get("tags").and_then(|tags| read_tags(&tags));
        let team = object.get("team").and_then(|team| team.parsed(value::name));
        Some(LlmConsumer { matches: matches?, team, tags: tags.unwrap_or_default(), digests })
    }
}

fn read_match(reader: &Reader<'_>, names: &mut HashSet<String>, digests: &mut Vec<Located<Digest>>) -> Option<Match> {
    let object = reader.object(&MATCH)?;
    let &[name] = object.names().as_slice() else {
        object.at().error("needs exactly one of keys, namespaces, principals, jwt; more ways are more entries");
        return None;
    };
    let field = object.get(name)?;
    Some(match name {
        "keys" => Match::Keys(field.list(|item| read_key(&item, names, digests))?),
        "namespaces" => Match::Namespaces(field.list(|item| item.parsed(form::name_glob))?),
        "principals" => Match::Principals(field.list(|item| item.parsed(form::spiffe_glob))?),
        _ => Match::Jwt(field.list(|item| read_claim(&item))?),
    })
}

fn read_key(reader: &Reader<'_>, names: &mut HashSet<String>, digests: &mut Vec<Located<Digest>>) -> Option<Key> {
    // Somebody may write the key itself where its digest belongs.
    let object = reader.object(&KEY)?;
    let name = object.need("name").and_then(|name| {
        unique(&name, names, "name");
        name.parsed(value::label)
    });
    let digest = object.need("sha256").and_then(|digest| {
        let found = digest.clone().hushed().parsed(value::sha256)?;
        digests.push(Located { value: found, path: digest.path().to_owned() });
        Some(found)
    });
    let not_after = object.get("notAfter").and_then(|time| time.parsed(value::time));
    let state = or(&object, "state", State::Active, |state| state.word(STATES));
    Some(Key { name: name?.into(), digest: digest?, not_after, state })
}

fn read_claim(reader: &Reader<'_>) -> Option<(Arc<str>, Arc<str>)> {
    let object = reader.object(&CLAIM)?;
    let claim = object.need("claim").and_then(|claim| claim.parsed(value::name));
    let value = object.need("value");
    let text = value.as_ref().and_then(|value| value.parsed(value::name));
    if let (Some(value), true) = (&value, text.as_ref().is_some_and(|text| text.contains('*'))) {
        value.error("a claim is compared whole: '*' is no wildcard here");
    }
    Some((claim?.into(), text?.into()))
}

fn read_tags(reader: &Reader<'_>) -> Option<Vec<(String, String)>> {
    let entries = reader.entries()?;
    if entries.len() > MAX_TAGS {
        reader.error(format_args!("has more than {MAX_TAGS} tags"));
    }
    let tags = entries.into_iter().filter_map(|(name, text)| {
        if value::name(name).is_err() || name.is_empty() {
            text.error("not the name of a tag: it is too long, empty, or has a control character in it");
        }
        Some((name.to_owned(), text.parsed(value::name)?))
    });
    Some(tags.collect())
}
