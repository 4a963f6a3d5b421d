//! Fields of a chat completion in OpenAI's format that a provider wants otherwise: renamed or made smaller.

use super::Changes;
use super::parameters::Parameter;
use crate::base::json::{Kind, Member};
use crate::llm::Quirk;
use crate::wire::edit::Edits;

/// The two names of the bound on the output.
const BOUNDS: [&str; 2] = ["max_tokens", "max_completion_tokens"];

/// The largest temperature below 2 that is written.
const WARMEST: &str = "1.99";

/// The one name of the bound that the provider reads, if it is one alone.
pub fn only_bound(quirks: &[Quirk]) -> Option<&'static str> {
    let has = |quirk| quirks.contains(&quirk);
    match (has(Quirk::OnlyMaxTokens), has(Quirk::OnlyMaxCompletionTokens)) {
        (true, _) => Some("max_tokens"),
        (false, true) => Some("max_completion_tokens"),
        (false, false) => None,
    }
}

/// The bounds that stand in a body, under either name in any case. None where there are more than two, or a rule
/// speaks of one.
fn stated<'m, 'b>(
    members: &'m [Member<'b>],
    parameters: &[Parameter],
) -> Option<(&'m Member<'b>, Option<&'m Member<'b>>)> {
    let is_bound = |name: &str| BOUNDS.iter().any(|bound| bound.eq_ignore_ascii_case(name));
    let mut stated = members.iter().filter(|member| is_bound(&member.key));
    let (one, other) = (stated.next()?, stated.next());
    let is_free = stated.next().is_none() && !parameters.iter().any(|parameter| is_bound(&parameter.name));
    is_free.then_some((one, other))
}

/// The bound under the name that the provider does not read, and the name that it does. None where both stand
/// there, or a rule speaks of one: nothing may stand twice.
pub(super) fn renamed<'m, 'b>(
    members: &'m [Member<'b>],
    quirks: &[Quirk],
    parameters: &[Parameter],
) -> Option<(&'m Member<'b>, &'static str)> {
    let wanted = only_bound(quirks)?;
    let (member, None) = stated(members, parameters)? else { return None };
    (member.key != wanted && BOUNDS.contains(&&*member.key)).then_some((member, wanted))
}

/// The bound under the name that the provider does not read, where the one that it does is null; and that one.
fn misplaced<'m, 'b>(
    members: &'m [Member<'b>],
    quirks: &[Quirk],
    parameters: &[Parameter],
) -> Option<(&'m Member<'b>, &'m Member<'b>)> {
    let wanted = only_bound(quirks)?;
    let (one, Some(other)) = stated(members, parameters)? else { return None };
    let (read, unread) = if one.key == wanted { (one, other) } else { (other, one) };
    let is_misplaced = read.key == wanted && read.kind == Kind::Null && unread.kind != Kind::Null;
    (is_misplaced && BOUNDS.contains(&&*unread.key)).then_some((unread, read))
}

/// The temperature that the provider takes in the place of this one; none where it takes it.
pub fn cooled(temperature: &str, quirks: &[Quirk]) -> Option<&'static str> {
    let is_hot = || temperature.parse::<f64>().is_ok_and(|degrees| degrees > 1.99 && degrees <= 2.0);
    (quirks.contains(&Quirk::TemperatureBelowTwo) && is_hot()).then_some(WARMEST)
}

/// Whether a chat completion may have to be edited for such a provider.
pub fn concerns(quirks: &[Quirk]) -> bool {
    only_bound(quirks).is_some() || quirks.contains(&Quirk::TemperatureBelowTwo)
}

/// Renames and lowers what stands in the body; what a rule speaks of is the rule's.
pub fn edit<'b>(
    body: &'b [u8],
    members: &[Member<'_>],
    quirks: &[Quirk],
    rule: Option<&Changes>,
    edits: &mut Edits<'b>,
) {
    let parameters = rule.map_or(&[][..], |rule| &rule.parameters);
    // A rule that bounds the output writes its own bound there.
    let is_capped = rule.is_some_and(|rule| rule.max_output.is_some());
    if let Some((unread, read)) = misplaced(members, quirks, parameters).filter(|_| !is_capped) {
        edits.replace(read.value, unread.value.slice(body));
        edits.replace(unread.value, &b"null"[..]);
    }
    if let Some((member, wanted)) = renamed(members, quirks, parameters) {
        edits.replace(member.key_span, format!("\"{wanted}\"").into_bytes());
    }
    let mut stated = members.iter().filter(|member| member.key == "temperature");
    if let (Some(member), None) = (stated.next(), stated.next())
        && member.kind == Kind::Number
        && !parameters.iter().any(|parameter| parameter.name.eq_ignore_ascii_case("temperature"))
        && let Ok(text) = std::str::from_utf8(member.value.slice(body))
        && let Some(cooled) = cooled(text, quirks)
    {
        edits.replace(member.value, cooled.as_bytes());
    }
}
