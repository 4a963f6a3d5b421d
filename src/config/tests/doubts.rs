//! Limits that are valid and probably not what was meant.

use super::*;

/// What is warned of: these specs of the process, the profile and a limit policy, and of a consumer with a tag.
fn warned(bootstrap: &str, profile: &str, policy: &str) -> String {
    let documents = [
        ("WeirBootstrap", "b", bootstrap),
        ("LLMProfile", "default", profile),
        ("LLMConsumer", "ci", "{match: [{namespaces: [ops]}], tags: {feature: search}}"),
        ("LLMLimitPolicy", "p", policy),
        ("LLMBackend", "cheap", "{endpoint: \"http://127.0.0.1:1/v1\", dialect: OpenAI, credentials: [{type: None}]}"),
    ];
    let document = |(kind, name, spec): (&str, &str, &str)| {
        format!("--- {{apiVersion: {API}, kind: {kind}, metadata: {{name: {name}}}, spec: {spec}}}\n")
    };
    let text: String = documents.into_iter().map(document).collect();
    lines(&load_text(&text, &Fakes::default()).unwrap_or_else(|errors| panic!("{}\n{text}", lines(&errors))).warnings)
}

const GATEWAY: &str = "{role: Gateway, journal: {path: /var/lib/weir}}";
const SIDECAR: &str = "{role: Sidecar, journal: {path: /var/lib/weir}}";
const PLAIN: &str = "{discovery: {environment: Disabled}}";

#[test]
fn a_budget_that_each_pod_of_a_gateway_allows_by_itself() {
    let policy = "{limits: [{name: month, unit: USD, amount: \"5\", period: {calendar: Month}}, \
                  {name: rpm, unit: Requests, amount: 5, period: {rolling: 1m}}, \
                  {name: day, unit: Tokens, amount: 5k, period: {calendar: Day}}]}";
    let found = warned(GATEWAY, PLAIN, policy);
    assert_eq!(
        found,
        "weir.yaml:4:spec.counting: is Process, so each pod of this gateway allows the whole of month, day by itself; \
         state Fleet, or run one pod"
    );
    assert_eq!(warned(SIDECAR, PLAIN, policy), "");
    let rolling = "{limits: [{name: rpm, unit: Requests, amount: 5, period: {rolling: 1m}}]}";
    assert_eq!(warned(GATEWAY, PLAIN, rolling), "");
}

#[test]
fn a_key_that_no_call_can_have() {
    let limit = |per: &str, missing: &str| {
        format!(
            "{{limits: [{{name: rpm, unit: Requests, amount: 5, period: {{rolling: 1m}}, per: [{per}], \
             whenKeyMissing: {missing}}}]}}"
        )
    };
    let end_user = "spec.identity.endUser of the LLMProfile names no source";
    let session = "spec.identity.session of the LLMProfile names no source";
    let tags = "spec.identity.tags of the LLMProfile does not list it and no LLMConsumer has it";
    for (per, missing, words) in [
        ("Consumer, EndUser", "Shared", format!("has EndUser, and {end_user}: all calls share one counter")),
        ("EndUser", "Skip", format!("has EndUser, and {end_user}: no call is ever counted")),
        ("Session", "Deny", format!("has Session, and {session}: every call is refused")),
        ("{tag: project}", "Skip", format!("has tag project, and {tags}: no call is ever counted")),
    ] {
        let found = warned(SIDECAR, PLAIN, &limit(per, missing));
        assert_eq!(found, format!("weir.yaml:4:spec.limits[0].per: {words}"));
    }
    let sources = "{identity: {endUser: {sources: [{header: x-user}]}, session: {sources: [{header: x-session}]}, \
                   tags: [project]}}";
    for per in ["EndUser", "Session", "{tag: project}", "{tag: feature}", "Team"] {
        assert_eq!(warned(SIDECAR, sources, &limit(per, "Skip")), "", "{per}");
    }
    assert_eq!(warned(SIDECAR, PLAIN, &limit("{tag: feature}", "Skip")), "", "a consumer has it");
}

#[test]
fn a_share_that_keeps_nothing() {
    let policy = |unit: &str, amount: &str, share: &str| {
        let period = if unit == "Concurrency" { "" } else { "period: {rolling: 1m}, " };
        format!(
            "{{limits: [{{name: l, unit: {unit}, amount: {amount}, {period}reserve: {{for: [{{teams: [prod]}}], \
             share: {share}}}}}]}}"
        )
    };
    for (unit, amount, share, least) in [("Requests", "3", "25%", 4), ("Concurrency", "33", "3%", 34)] {
        let found = warned(SIDECAR, PLAIN, &policy(unit, amount, share));
        let words = format!(
            "of {amount} is less than one, so nothing is kept; with this share the amount must be at least {least}"
        );
        assert_eq!(found, format!("weir.yaml:4:spec.limits[0].reserve.share: {words}"));
        assert_eq!(warned(SIDECAR, PLAIN, &policy(unit, &least.to_string(), share)), "");
    }
    assert_eq!(warned(SIDECAR, PLAIN, &policy("Tokens", "3", "25%")), "", "tokens are counted in thousandths");
}

#[test]
fn a_budget_that_sends_calls_on_where_nothing_ends_what_they_cost() {
    let limit = |name: &str, unit: &str, exceeded: &str| {
        format!("{{name: {name}, unit: {unit}, amount: \"5\", period: {{rolling: 1h}}, whenExceeded: {exceeded}}}")
    };
    let down = "{action: Downgrade, to: {backend: cheap, model: mini}}";
    let words = "weir.yaml:4:spec.limits[0].whenExceeded: is Downgrade: when \"month\" is used up, calls go on to \
                 cheap/mini without an end to what they cost; add a limit of USD that denies";
    for (unit, beside, mode, doubts) in [
        ("USD", None, "Enforce", true),
        ("USD", Some(limit("all", "USD", "{action: Deny}")), "Enforce", false),
        ("USD", Some(limit("all", "USD", "{action: Throttle, maxDelay: 1s}")), "Enforce", false),
        ("USD", Some(limit("all", "USD", "{action: Observe}")), "Enforce", true),
        ("USD", Some(limit("all", "USD", "{action: Deny}")), "Shadow", true),
        ("USD", Some(limit("all", "Requests", "{action: Deny}").replace('"', "")), "Enforce", true),
        ("Requests", None, "Enforce", false),
    ] {
        let mut first = limit("month", unit, down);
        if unit == "Requests" {
            first = first.replace('"', "");
        }
        let all: Vec<String> = std::iter::once(first).chain(beside).collect();
        let found = warned(SIDECAR, PLAIN, &format!("{{mode: {mode}, limits: [{}]}}", all.join(", ")));
        assert_eq!(found, if doubts { words } else { "" }, "{unit} {mode} {all:?}");
    }
}
