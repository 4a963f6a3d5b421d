//! LLMProfile: one in root, and at most one in each other namespace. That one holds for the calls of its
//! namespace and may only tighten what root says; what it does not say is root's.

use std::collections::HashMap;
use std::sync::Arc;

use super::ConfigError;
use super::spec::profile::{BodiesSpec, Capture};
use super::spec::{FailurePolicy, LlmProfile};
use super::validate::Set;
use crate::identity::{Anonymous, Said, Source};
use crate::policy::{Bodies, Explain, Profile, ResponseHeaders, Unpriced};

/// What root says, or the defaults.
pub(super) fn root(set: &Set<'_>) -> Profile {
    over(Profile::default(), &set.profile)
}

/// What other namespaces say, over what root does.
pub(super) fn of_namespaces(set: &Set<'_>, root: &Profile) -> HashMap<Arc<str>, Profile> {
    let said = set.profiles.iter();
    said.map(|(document, profile)| (document.meta.namespace.as_str().into(), over(*root, profile))).collect()
}

fn over(below: Profile, said: &LlmProfile) -> Profile {
    let BodiesSpec { max_request, max_response_hold, max_event, max_capture } = said.bodies;
    Profile {
        bodies: Bodies {
            max_request: max_request.unwrap_or(below.bodies.max_request),
            max_response_hold: max_response_hold.unwrap_or(below.bodies.max_response_hold),
            max_event: max_event.unwrap_or(below.bodies.max_event),
            max_capture: max_capture.unwrap_or(below.bodies.max_capture),
        },
        unpriced: said.unpriced.unwrap_or(below.unpriced),
        response_headers: said.response_headers.unwrap_or(below.response_headers),
        explain: said.explain.unwrap_or(below.explain),
    }
}

/// Reports what a profile outside root loosens, and what it has no say in.
pub(super) fn check(set: &Set<'_>, errors: &mut Vec<ConfigError>) {
    let (root, of_root) = (root(set), &set.profile);
    let of_callers = of_root.identity.said(&Said::default());
    for (document, profile) in &set.profiles {
        let mut wrong = Vec::new();
        check_place(profile, &mut wrong);
        check_bodies(profile.bodies, root.bodies, &mut wrong);
        check_words(profile, &root, of_root, &mut wrong);
        check_headers(profile.response_headers, root.response_headers, &mut wrong);
        let identity = &profile.identity;
        check_sources("endUser", &identity.end_user, &of_callers.end_user, &mut wrong);
        check_sources("session", &identity.session, &of_callers.session, &mut wrong);
        let tags = identity.tags.iter().flatten().map(String::as_str);
        let more: Vec<&str> = tags.filter(|tag| !of_callers.tags.iter().any(|known| **known == **tag)).collect();
        if !more.is_empty() {
            let known: Vec<&str> = of_callers.tags.iter().map(|tag| &**tag).collect();
            wrong.push(("spec.identity.tags".to_owned(), adds(&more, &known)));
        }
        errors.extend(wrong.into_iter().map(|(path, message)| document.at.error(&path, message)));
    }
}

/// Less of it would be less that is billed.
const METERED: &str = "it says how much of an answer is read to meter it";

type Wrong = Vec<(String, String)>;

/// The process and the mesh have one of these, and not one for each namespace.
fn check_place(profile: &LlmProfile, wrong: &mut Wrong) {
    let said = [
        ("discovery", profile.discovery.is_some(), "keys in the environment are the process's"),
        ("identity.jwt", profile.identity.jwt.is_some(), "it says whose word is a fact"),
        ("identity.trustedHops", profile.identity.trusted_hops.is_some(), "it says whose word is a fact"),
        ("identity.trustDomains", !profile.identity.trust_domains.is_empty(), "it says whose word is a fact"),
        ("bodies.maxEvent", profile.bodies.max_event.is_some(), METERED),
        ("bodies.maxCapture", profile.bodies.max_capture.is_some(), METERED),
        ("telemetry.otlp", profile.telemetry.otlp, "the process tells of all calls in one place"),
        ("telemetry.metricLabels", profile.telemetry.metric_labels, "the process tells of all calls in one place"),
    ];
    for (field, _, why) in said.into_iter().filter(|row| row.1) {
        let message = format!("is said in the root namespace only: {why}; remove it here");
        wrong.push((format!("spec.{field}"), message));
    }
}

fn check_bodies(said: BodiesSpec, root: Bodies, wrong: &mut Wrong) {
    for (field, said, root) in [
        ("maxRequest", said.max_request, root.max_request),
        ("maxResponseHold", said.max_response_hold, root.max_response_hold),
    ] {
        if said.is_some_and(|said| said > root) {
            let root = size(root);
            let message = format!("is above root's {root}, which a namespace may only lower; say at most {root}");
            wrong.push((format!("spec.bodies.{field}"), message));
        }
    }
}

/// Words of which root has said the stricter one.
fn check_words(profile: &LlmProfile, root: &Profile, of_root: &LlmProfile, wrong: &mut Wrong) {
    let is_loose = |policy: Option<FailurePolicy>| policy == Some(FailurePolicy::Ignore);
    let value = |profile: &LlmProfile| profile.failure_policy.as_ref().map(|policy| policy.value);
    let is_full = |profile: &LlmProfile| profile.telemetry.capture == Some(Capture::Full);
    let lets_in = |profile: &LlmProfile| profile.identity.anonymous == Some(Anonymous::Allow);
    for (field, said, root, words) in [
        ("unpriced", profile.unpriced == Some(Unpriced::Allow), root.unpriced == Unpriced::Allow, ("Allow", "Deny")),
        ("explain", profile.explain == Some(Explain::Header), root.explain == Explain::Header, ("Header", "Off")),
        ("failurePolicy", is_loose(value(profile)), is_loose(value(of_root)), ("Ignore", "Fail")),
        ("identity.anonymous", lets_in(profile), lets_in(of_root), ("Allow", "Deny")),
        ("telemetry.contentCapture", is_full(profile), is_full(of_root), ("Full", "None")),
    ] {
        if said && !root {
            let (loose, strict) = words;
            let message = format!(
                "{loose} loosens root's {strict}, and a namespace may only tighten; remove it, or say {loose} in the \
                 LLMProfile of the root namespace"
            );
            wrong.push((format!("spec.{field}"), message));
        }
    }
}

fn check_headers(said: Option<ResponseHeaders>, root: ResponseHeaders, wrong: &mut Wrong) {
    let Some(said) = said else { return };
    let rows = [
        ("RequestId", said.request_id, root.request_id),
        ("Cache", said.cache, root.cache),
        ("Backend", said.backend, root.backend),
        ("Model", said.model, root.model),
        ("Cost", said.cost, root.cost),
        ("Tokens", said.tokens, root.tokens),
    ];
    let more: Vec<&str> = rows.iter().filter(|row| row.1 && !row.2).map(|row| row.0).collect();
    if !more.is_empty() {
        let known: Vec<&str> = rows.iter().filter(|row| row.2).map(|row| row.0).collect();
        wrong.push(("spec.responseHeaders".to_owned(), adds(&more, &known)));
    }
}

/// What a caller could leave unsaid may be left unheard. A claim it could not: without it a caller would
/// choose its own end user, and with it whose limit it takes from.
fn check_sources(field: &str, said: &[Source], root: &[Source], wrong: &mut Wrong) {
    let path = format!("spec.identity.{field}.sources");
    let names = |sources: &[Source]| sources.iter().map(name).collect::<Vec<_>>().join(", ");
    if said.is_empty() {
        return;
    }
    let mut rest = root.iter();
    let in_order = said.iter().all(|source| rest.any(|known| known == source));
    let lost: Vec<Source> =
        root.iter().filter(|source| matches!(source, Source::Claim(_)) && !said.contains(source)).cloned().collect();
    if root.is_empty() {
        let message = "root's profile takes none, and a namespace may only take fewer; remove it, or say it in the \
                       LLMProfile of the root namespace";
        wrong.push((path, message.to_owned()));
    } else if !in_order {
        let message = format!(
            "is not a part of root's list in its order, which is {}; a namespace may leave out headers and `body`",
            names(root)
        );
        wrong.push((path, message));
    } else if !lost.is_empty() {
        let message = format!(
            "leaves out {} of root's list: a caller could then name itself otherwise than its token does; a namespace \
             may leave out headers and `body`",
            names(&lost)
        );
        wrong.push((path, message));
    }
}

fn adds(more: &[&str], root: &[&str]) -> String {
    let root = if root.is_empty() { "none".to_owned() } else { root.join(", ") };
    let them = if more.len() == 1 { "it" } else { "them" };
    format!(
        "adds {} to root's list, which is {root}; a namespace may only shorten it: remove {them} here, or add {them} to the \
         LLMProfile of the root namespace",
        more.join(", "),
    )
}

fn name(source: &Source) -> String {
    match source {
        Source::Claim(claim) => format!("jwtClaim {claim}"),
        Source::Header(header) => format!("header {header}"),
        Source::Body => "body".to_owned(),
    }
}

/// Bytes as the language writes them.
fn size(bytes: usize) -> String {
    let units = [("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let whole = units.iter().find(|(_, shift)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    whole.map_or_else(|| bytes.to_string(), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}
