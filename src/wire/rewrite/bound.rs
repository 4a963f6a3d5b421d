//! The bound on a call's output, lowered or stated in the client's own field.

use std::borrow::Cow;

use super::parameters::{Action, Parameter};
use super::{Scope, Subject, quirk};
use crate::base::json::{self, Kind, Member};
use crate::llm::{Code, Dialect, Operation, Refusal};
use crate::wire::edit::Edits;
use crate::wire::fields::{self, Nested, refuse};
use crate::wire::{keys, stated};

/// The names of the bound in the models' own formats, as they are served by Amazon Bedrock (user guide,
/// "Inference request parameters and response fields"), and the objects in which some have it.
const OWN_BOUNDS: &[&str] = &[
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "max_gen_len",
    "max_tokens_to_sample",
    "maxTokens",
    "maxTokenCount",
    "maxOutputTokens",
    "inferenceConfig",
    "inference_config",
    "textGenerationConfig",
];

/// The top-level names under which an operation's output is bounded: those that are looked at, and of them those
/// that the provider reads, the one to insert first.
///
/// OpenAI's reasoning models refuse `max_tokens` and the others take `max_completion_tokens` as well
/// (API reference "Create chat completion", `max_tokens`: deprecated). Both are looked at wherever
/// either may be read: what one of them says would get past the other. So would llama.cpp's own name.
fn bounds(subject: Subject<'_>, parameters: &[Parameter]) -> (Vec<&'static str>, &'static [&'static str]) {
    let call = &subject.fields.call;
    let names = stated::names(call.dialect, call.operation);
    let alias = (!names.is_empty()).then_some(stated::PREDICT);
    let looked_at = names.iter().copied().chain(alias).collect();
    let read = match (call.operation, quirk::only_bound(subject.quirks)) {
        // A name that is made the other one is read as that.
        (Operation::Chat, Some(_)) if quirk::renamed(subject.members, subject.quirks, parameters).is_some() => names,
        (Operation::Chat, Some(only)) => match names.iter().position(|name| *name == only) {
            Some(at) => &names[at..=at],
            None => names,
        },
        _ => names,
    };
    (looked_at, read)
}

/// Lowers every bound above `most` to it, and states it where the request states none.
pub(super) fn cap(
    most: u64,
    parameters: &[Parameter],
    subject: Subject<'_>,
    edits: &mut Edits<'_>,
) -> Result<bool, Refusal> {
    let call = &subject.fields.call;
    if let (Some(place), Operation::Chat) = (Nested::of(call.dialect), call.operation) {
        return cap_inside(place, most, parameters, subject, edits);
    }
    let (names, read) = bounds(subject, parameters);
    let Some(wanted) = read.first() else { return Ok(false) };
    let number = || number(most);
    let (mut stated, mut empty, mut edited) = (false, None, false);
    for name in &names {
        let Some(index) = keys::named(subject.dialect(), subject.members, name)? else { continue };
        let member = &subject.members[index];
        let counts = read.contains(name);
        if member.kind == Kind::Null {
            empty = empty.or(counts.then_some(member));
            continue;
        }
        stated |= counts;
        if stated_bound(name, member, subject.body, subject.dialect())? > most {
            edits.replace(member.value, number());
            edited = true;
        }
    }
    match (stated, empty) {
        (true, _) => return Ok(edited),
        (false, Some(member)) => edits.replace(member.value, number()),
        (false, None) => edits.insert_member(subject.whole(), subject.members, wanted, number()),
    }
    Ok(true)
}

/// As [`cap`], where the bound stands in an object of its own.
fn cap_inside(
    place: Nested,
    most: u64,
    parameters: &[Parameter],
    subject: Subject<'_>,
    edits: &mut Edits<'_>,
) -> Result<bool, Refusal> {
    let dialect = subject.dialect();
    refuse_extra(parameters, subject)?;
    let found = keys::named(dialect, subject.members, place.object)?;
    let of_rule = parameters.iter().find(|parameter| keys::is_same(dialect, &parameter.name, place.object));
    let client = match (of_rule.map(|parameter| &parameter.action), found) {
        // It was bounded where it was put in.
        (Some(Action::Override(_)), _) | (Some(Action::Default(_)), None) => return Ok(false),
        (Some(Action::Remove), _) => None,
        (_, found) => found,
    };
    let object = || [b"{\"", place.name.as_bytes(), b"\":", &number(most)[..], b"}"].concat();
    let Some(member) = client.and_then(|index| subject.members.get(index)) else {
        edits.insert_member(subject.whole(), subject.members, place.object, object());
        return Ok(true);
    };
    match member.kind {
        Kind::Null => edits.replace(member.value, object()),
        Kind::Object => {
            let members = json::members(subject.body, member.value).map_err(refuse)?;
            return lower(
                place,
                most,
                Scope { body: subject.body, object: member.value, members: &members, dialect },
                edits,
            );
        }
        _ => return Err(no_object(place)),
    }
    Ok(true)
}

/// The value that a rule gives the member `name`, bounded where that is the object in which this format states
/// its bound.
///
/// # Errors
/// 400 where it is no object, or its bound cannot be compared.
pub(super) fn lowered<'c>(
    json: &'c [u8],
    name: &str,
    most: Option<u64>,
    subject: Subject<'_>,
) -> Result<Cow<'c, [u8]>, Refusal> {
    let (dialect, operation) = (subject.dialect(), subject.fields.call.operation);
    let place = Nested::of(dialect).filter(|place| keys::is_same(dialect, name, place.object));
    let (Some(most), Some(place), Operation::Chat) = (most, place, operation) else { return Ok(json.into()) };
    let members = json::object(json).map_err(|_| no_object(place))?;
    let mut edits = Edits::new();
    lower(place, most, Scope { body: json, object: super::whole(json), members: &members, dialect }, &mut edits)?;
    Ok(if edits.is_empty() { json.into() } else { edits.apply(json).into() })
}

/// Lowers the bound of an object, or states it.
fn lower(place: Nested, most: u64, scope: Scope<'_>, edits: &mut Edits<'_>) -> Result<bool, Refusal> {
    let Scope { body, object, members, dialect } = scope;
    let Some(member) = scope.find(place.name)? else {
        edits.insert_member(object, members, place.name, number(most));
        return Ok(true);
    };
    let is_lower = member.kind != Kind::Null && stated_bound(place.name, member, body, dialect)? <= most;
    if !is_lower {
        edits.replace(member.value, number(most));
    }
    Ok(!is_lower)
}

/// A model's own name of the bound, beside the one of Converse, could get past it: what Bedrock makes of both is
/// not documented.
fn refuse_extra(parameters: &[Parameter], subject: Subject<'_>) -> Result<(), Refusal> {
    const EXTRA: &str = "additionalModelRequestFields";
    let dialect = subject.dialect();
    let of_rule = parameters.iter().find(|parameter| keys::is_same(dialect, &parameter.name, EXTRA));
    let goes = of_rule.is_some_and(|parameter| !matches!(parameter.action, Action::Default(_)));
    let found = keys::named(dialect, subject.members, EXTRA)?.and_then(|index| subject.members.get(index));
    let Some(member) = found.filter(|member| dialect == Dialect::Bedrock && !goes && member.kind == Kind::Object)
    else {
        return Ok(());
    };
    let members = json::members(subject.body, member.value).map_err(refuse)?;
    let is_bound = |member: &&Member<'_>| OWN_BOUNDS.iter().any(|name| keys::is_alike(dialect, &member.key, name));
    match members.iter().find(is_bound) {
        None => Ok(()),
        Some(member) => {
            let key = &member.key;
            let message =
                format!("Leave {key:?} out of {EXTRA:?}, and say inferenceConfig.maxTokens: a rule bounds the output.");
            Err(Refusal::new(Code::UnsupportedValue, message).param(format!("{EXTRA}.{key}")))
        }
    }
}

fn number(most: u64) -> Vec<u8> {
    most.to_string().into_bytes()
}

fn no_object(place: Nested) -> Refusal {
    let message = format!("The field {:?} must be an object: a rule bounds what is in it.", place.object);
    Refusal::new(Code::UnsupportedValue, message).param(place.object)
}

/// The number that a member states. One that is too large for this type is larger than any bound.
fn stated_bound(name: &str, member: &Member<'_>, body: &[u8], dialect: Dialect) -> Result<u64, Refusal> {
    // Anthropic answers 0 with no output. Elsewhere it is an error at best; servers that ask only
    // whether it is there, or not 0, take it for no bound at all.
    let least = u64::from(dialect != Dialect::Anthropic);
    let digits = fields::digits(dialect, body, member);
    let whole = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(digits).ok().map(|digits| digits.parse().unwrap_or(u64::MAX));
    number.filter(|number| whole && *number >= least).ok_or_else(|| {
        let message = format!("The field {name:?} must be a whole number of at least {least}: a rule bounds it.");
        Refusal::new(Code::UnsupportedValue, message).param(name.to_owned())
    })
}
