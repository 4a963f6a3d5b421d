//! Does anything write a credential down: access logs, traces, taps? Pure.

use std::collections::BTreeSet;

use super::{Findings, NO_DUMP, Scene, Told};
use crate::catalog::Catalog;
use crate::catalog::provider::AuthScheme;
use crate::credential::CALLER_HEADERS;

/// Of the headers that clients must not choose, those that hold no secret.
const HARMLESS: &[&str] = &["openai-organization", "openai-project", "x-goog-user-project"];
/// Header names that stand for the path with its query, where Gemini's clients put keys.
const PATHS: &[&str] = &[":path", "x-envoy-original-path"];

pub fn check(scene: &Scene, findings: &mut Findings) -> Told {
    if scene.evidence.dump.is_none() {
        return NO_DUMP;
    }
    let secret = secret_headers(&Catalog::builtin());
    // Other listeners carry others' credentials.
    for at in scene.managers.iter().filter(|at| !at.weir.is_empty() || !scene.to_providers(at).is_empty()) {
        written(&format!("{}, its own access log", at.place()), &at.listener.logged, &secret, findings);
        written(&format!("{}, its access log or tracing", at.place()), &at.manager.logged, &secret, findings);
        for filter in &at.manager.filters {
            let place = format!("{}, filter {}", at.place(), filter.name);
            written(&place, &filter.logged, &secret, findings);
            if filter.is_a("filters.http.tap") && !filter.is_disabled {
                let means = "A tap writes down whole requests, with prompts and credentials.";
                findings.warning("tap", &place, means, "take the filter out when you have seen what you looked for");
            }
        }
    }
    for cluster in scene.providers.keys().filter_map(|name| scene.clusters.get(name)) {
        for filter in &cluster.filters {
            let place = format!("cluster {}, filter {}", cluster.name, filter.name);
            written(&place, &filter.logged, &secret, findings);
        }
    }
    Told::Looked("no access log and no trace writes a header with a credential".to_owned())
}

fn written(place: &str, logged: &BTreeSet<String>, secret: &BTreeSet<String>, findings: &mut Findings) {
    let named: Vec<&str> =
        logged.iter().filter(|name| secret.contains(*name) || *name == "*").map(String::as_str).collect();
    if !named.is_empty() {
        let means = format!("It writes down {}: whoever reads it has callers' and providers' keys.", named.join(", "));
        let change =
            format!("take %REQ({})% out of its format, and change the keys that were written", named.join(")%, %REQ("));
        findings.error("logs-credentials", place, means, change);
    }
    if logged.iter().any(|name| PATHS.contains(&name.as_str())) {
        findings.note(
            "logs-query",
            place,
            "It writes down paths with their query, in which some clients put a key (`?key=`).",
            "%PATH(NQ:PATH)%, or %REQ_WITHOUT_QUERY(:PATH)%",
        );
    }
}

fn secret_headers(catalog: &Catalog) -> BTreeSet<String> {
    let callers = CALLER_HEADERS.iter().filter(|name| !HARMLESS.contains(name)).map(|name| (*name).to_owned());
    let schemes = catalog
        .providers()
        .iter()
        .flat_map(|provider| std::iter::once(&provider.auth).chain(provider.also.iter().map(|also| &also.auth)));
    let own = schemes.filter_map(|scheme| match scheme {
        AuthScheme::Header(name) => Some(name.as_str().to_owned()),
        AuthScheme::Bearer | AuthScheme::None => None,
    });
    callers.chain(own).collect()
}
