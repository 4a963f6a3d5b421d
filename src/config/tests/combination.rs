//! What documents of root, of a namespace and of another one come to together, for one call: a table a
//! kind in `tests/golden/combination`. `UPDATE_GOLDEN=1` writes them anew.

use std::path::Path;

use super::bad::compare;
use super::fake::{Catalogue, Fakes, lines};
use super::*;
use crate::access::{Model, Names};
use crate::identity::{Facts, Principal, identify};
use crate::policy::Mode;
use crate::policy::access::{self, Verdict};
use crate::policy::combine::{Named, Scoped, Standing, accumulate, replace, standings};
use crate::policy::select::{Place, Scope};
use crate::policy::spaces::Spaces;
use crate::target::RuleName;

/// A document by its name in the tables: namespace, and what its spec says beside.
const PLACES: &[(&str, &str, &str)] = &[
    ("root", "weir-system", ""),
    ("namespace", "shop", ""),
    ("other", "search", ""),
    ("route", "weir-system", "targetRefs: [{kind: LLMRoute, name: chat}]"),
    ("rule", "weir-system", "targetRefs: [{kind: LLMRoute, name: chat, sectionName: default}]"),
    ("own-route", "shop", "targetRefs: [{kind: LLMRoute, name: chat}]"),
    ("own-rule", "shop", "targetRefs: [{kind: LLMRoute, name: chat, sectionName: default}]"),
    ("backend", "weir-system", "targetRefs: [{kind: LLMBackend, name: mock}]"),
    ("other-rule", "weir-system", "targetRefs: [{kind: LLMRoute, name: chat, sectionName: rest}]"),
    ("team", "weir-system", "from: [{teams: [build]}]"),
    ("own-team", "shop", "from: [{teams: [build]}]"),
    ("consumer", "weir-system", "from: [{consumers: [\"*\"]}]"),
    ("own-consumer", "shop", "from: [{consumers: [web]}]"),
    ("shadow", "weir-system", "mode: Shadow"),
];

/// The places that are put together two by two.
const PAIRED: &[&str] = &["root", "namespace", "other", "route", "rule", "own-route", "own-rule", "backend", "shadow"];

/// Kind, and what makes a spec of it whole.
const KINDS: &[(&str, &str, &str)] = &[
    ("limit", "LLMLimitPolicy", "limits: [{name: rpm, unit: Requests, amount: 1, period: {rolling: 1m}}]"),
    ("guard", "LLMGuardPolicy", "rules: [{name: email, on: [Request], detect: [Email], action: Deny}]"),
    ("cache", "LLMCachePolicy", "exact: {ttl: 1m}"),
    ("access", "LLMAccessPolicy", "models: {deny: [\"*\"]}"),
];

/// The call goes to the rule `default`; its caller is of the namespace `shop`, whose own documents say
/// that it is the consumer `web` of team `build`. Root says nothing of it.
const AROUND: &str = r#"
apiVersion: weir.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat}
spec: {rules: [{name: default, backends: [{name: mock}]}, {name: rest, backends: [{name: mock}]}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: mock}
spec: {provider: mock, endpoint: "http://127.0.0.1:1/v1", allowedNamespaces: {from: All}}
---
apiVersion: weir.dev/v1alpha1
kind: LLMConsumer
metadata: {name: web, namespace: shop}
spec: {match: [{namespaces: [shop]}], team: build}
"#;

const PEER: &str = "spiffe://mesh/ns/shop/sa/web";

fn document((kind, rest): (&str, &str), (name, namespace, says): (&str, &str, &str)) -> String {
    let meta = format!("{{name: {name}, namespace: {namespace}}}");
    format!("---\napiVersion: weir.dev/v1alpha1\nkind: {kind}\nmetadata: {meta}\nspec:\n  {rest}\n  {says}\n")
}

/// What becomes of these places' documents of a kind, a line for each combination.
fn row(kind: (&str, &str, &str), places: &[(&str, &str, &str)]) -> String {
    let documents: String = places.iter().map(|place| document((kind.1, kind.2), *place)).collect();
    let source = Source { files: vec![("weir.yaml".into(), [AROUND, &documents].concat())], ..Source::default() };
    let fakes = Fakes::default();
    let checked = check(&source, &fakes.options, &Catalogue, &fakes, Catalog::default());
    assert_eq!(lines(&checked.errors), "");
    let policy = checked.compiled.unwrap().policy;
    let facts = Facts { peer_uri: Some(PEER.into()), ..Facts::default() };
    let caller = identify(&policy.identity, crate::identity::Role::Gateway, &facts, || [].into_iter(), 0).unwrap();
    let rule = RuleName::new(None, "chat", "default");
    let place = Place::new(Some(&rule), "mock");
    let found = match kind.0 {
        "limit" => all(&policy.documents.limits, &caller, place),
        "guard" => all(&policy.documents.guards, &caller, place),
        "cache" => one(&policy.documents.caches, &caller, place),
        _ => asked(&policy, &caller, place),
    };
    let names: Vec<&str> = places.iter().map(|(name, ..)| *name).collect();
    format!("{:<24}| {}\n", names.join(" + "), found.join(" | "))
}

/// `KIND/NAME` or `KIND/NAMESPACE/NAME` to the name.
fn name(scope: &Scope) -> &str {
    scope.id.rsplit('/').next().unwrap_or_default()
}

/// Of a kind that accumulates.
fn all(documents: &Spaces<Named>, caller: &Principal, place: Place<'_>) -> Vec<String> {
    let counts = |named: &Named| accumulate(documents, caller).at(place).any(|one| one == named);
    let said = documents.iter().map(|named| match named.scope.admits(caller, place) {
        Ok(()) => {
            assert!(counts(named));
            format!("{} counts{}", name(&named.scope), shadow(&named.scope))
        }
        Err(unmet) => {
            assert!(!counts(named));
            format!("{} does not: {unmet}", name(&named.scope))
        }
    });
    said.collect()
}

fn shadow(scope: &Scope) -> &'static str {
    if scope.mode == Mode::Shadow { " in shadow" } else { "" }
}

/// Of a kind that replaces.
fn one(documents: &Spaces<Named>, caller: &Principal, place: Place<'_>) -> Vec<String> {
    let enforced = replace(documents, caller, place).map(|named| name(&named.scope));
    let said = standings(documents.iter(), caller, place).map(|(named, standing)| {
        let scope = named.scope();
        let is_enforced = standing == Standing::Applies && scope.mode == Mode::Enforce;
        assert_eq!(is_enforced, enforced == Some(name(scope)));
        let what = match standing {
            Standing::Applies => format!("counts{}", shadow(scope)),
            Standing::Replaced(by) => format!("is replaced by {}", name(by)),
            Standing::Conflicted(with) => format!("conflicts with {}", name(with)),
            Standing::Unmet => format!("does not: {}", scope.admits(caller, place).unwrap_err()),
        };
        format!("{} {what}", name(scope))
    });
    said.collect()
}

/// Of access policies, each of which refuses every model.
fn asked(policy: &Policy, caller: &Principal, place: Place<'_>) -> Vec<String> {
    let names = Names { requested: "m", leaving: "m", long: "mock/m", namespace: None, mapped: false };
    let visit = policy.visit(0, place, Model::Named(names));
    let mut said: Vec<String> = access::explain(&policy.access, caller, visit)
        .map(|(one, verdict)| match verdict {
            Verdict::Refused(_) => format!("{} refuses{}", name(&one.scope), shadow(&one.scope)),
            Verdict::Allowed => format!("{} allows", name(&one.scope)),
            Verdict::Unmet(unmet) => format!("{} does not count: {unmet}", name(&one.scope)),
        })
        .collect();
    said.push(
        if access::is_allowed(&policy.access_of(caller), visit) { "=> allowed" } else { "=> refused" }.to_owned(),
    );
    said
}

#[test]
fn the_truth_table_of_combination() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/combination");
    let mut wrong = String::new();
    for &kind in KINDS {
        let mut table: String = PLACES.iter().map(|&place| row(kind, &[place])).collect();
        let paired: Vec<_> = PLACES.iter().filter(|(name, ..)| PAIRED.contains(name)).collect();
        for (at, &&first) in paired.iter().enumerate() {
            for &&second in &paired[at + 1..] {
                let (said, turned) = (row(kind, &[first, second]), row(kind, &[second, first]));
                // Which is written first decides between equals alone.
                let equals = [&said, &turned].into_iter().any(|row| row.contains("conflicts"));
                assert!(equals || sorted(&turned) == sorted(&said), "{said}{turned}");
                table.push_str(&said);
            }
            let twin = format!("{}-2", first.0);
            table.push_str(&row(kind, &[first, (&twin, first.1, first.2)]));
        }
        wrong.extend(compare(&folder.join(kind.0).with_extension("txt"), &table));
    }
    assert!(wrong.is_empty(), "{wrong}UPDATE_GOLDEN=1 writes them anew");
}

/// What a row says, in any order.
fn sorted(row: &str) -> Vec<&str> {
    let mut said: Vec<&str> = row.split('|').skip(1).map(str::trim).collect();
    said.sort_unstable();
    said
}
