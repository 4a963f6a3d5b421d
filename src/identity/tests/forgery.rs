//! What a hostile client sends in order to be somebody else, or to be nobody.

use proptest::prelude::*;

use super::*;
use crate::identity::forwarded::{Forwarded, forwarded};

fn xfcc(values: &[&str], hops: usize) -> String {
    match forwarded(values.iter().map(|value| value.as_bytes()), hops) {
        Forwarded::Absent => "absent".to_owned(),
        Forwarded::Nobody => "nobody".to_owned(),
        Forwarded::Caller(uri) => uri.to_owned(),
    }
}

#[test]
fn an_unknown_weir_key_is_refused_wherever_it_stands() {
    let unknown = key(99);
    for role in [Role::Sidecar, Role::Gateway] {
        for header in ["authorization", "x-api-key", "api-key", "x-goog-api-key", "proxy-authorization", "cookie"] {
            for value in [
                unknown.clone(),
                format!("Bearer {unknown}"),
                format!("bearer  {unknown}"),
                format!(" BEARER\t{unknown} "),
                "sk-weir-".to_owned(),
                "Bearer sk-weir-short".to_owned(),
                format!("sk-weir-{}", "x".repeat(100_000)),
                format!("{} extra", key(1)),
            ] {
                let found = call(&rules(), role, &from_peer(PEER), &[(header, &value)]);
                let code = found.map(|found| found.rank).unwrap_err().refusal.code;
                assert_eq!(code, Code::InvalidApiKey, "{role:?} {header} {value:.60}");
            }
        }
    }
    let bytes: &[(&str, &[u8])] = &[("authorization", b"Bearer sk-weir-\xff")];
    let found = identify(&rules(), Role::Sidecar, &Facts::default(), || bytes.iter().copied(), NOW);
    assert_eq!(why(found), (Code::InvalidApiKey, "key_unknown"));
}

#[test]
fn a_valid_key_counts_only_where_keys_stand_and_alone() {
    let (one, two) = (key(1), key(2));
    let found = |headers: &[(&str, &str)]| call(&rules(), Role::Sidecar, &Facts::default(), headers);
    assert_eq!(why(found(&[("proxy-authorization", &one)])).1, "key_misplaced");
    assert_eq!(why(found(&[("cookie", &one)])).1, "key_misplaced");
    assert_eq!(why(found(&[("authorization", &one), ("x-api-key", &two)])).1, "two_keys");
    assert_eq!(why(found(&[("authorization", &one), ("authorization", &two)])).1, "two_keys");
    assert_eq!(why(found(&[("authorization", &one), ("x-api-key", &key(9))])).1, "two_keys");
    assert!(found(&[("authorization", &format!("Bearer {one}")), ("x-api-key", &one)]).is_ok());
    for value in ["Bearer sk-abc", "Basic c2std2Vpci0=", "SK-WEIR-abc", "x sk-weir-abc", ""] {
        assert_eq!(found(&[("authorization", value)]).unwrap().rank, Rank::Workload, "{value}");
    }
}

/// Nothing but the four headers of keys changes who calls, in either role.
#[test]
fn headers_that_claim_an_identity_claim_nothing() {
    let forged = "By=spiffe://mesh/ns/gw/sa/gw;URI=spiffe://mesh/ns/root/sa/admin";
    let headers: &[(&str, &str)] = &[
        ("x-forwarded-client-cert", forged),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-jwt-payload", "eyJzdWIiOiJzdmMtYm90In0"),
        ("x-weir-consumer", "search"),
        ("x-weir-principal", "spiffe://mesh/ns/search-api/sa/web"),
        ("x-weir-team", "search"),
        ("x-weir-tags", "team=search,consumer=search"),
        ("x-envoy-peer-metadata", "abc"),
        ("authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJzdmMtYm90In0."),
    ];
    let mut rules = rules();
    let claims = token(&[("sub", text("svc-bot")), ("team", text("search"))]);
    let facts = Facts { claims, ..from_peer(PEER) };
    assert!(Arc::ptr_eq(&call(&rules, Role::Sidecar, &facts, headers).unwrap(), &rules.own));
    assert_eq!(why(call(&rules, Role::Gateway, &Facts::default(), headers)).1, "anonymous");
    let plain = from_peer("spiffe://mesh/ns/a/sa/b");
    let same = call(&rules, Role::Gateway, &plain, &[]).unwrap();
    assert_eq!(call(&rules, Role::Gateway, &plain, headers).unwrap(), same);
    // Tags may be named like facts and are none.
    rules.said.tags = vec!["team".into(), "consumer".into()];
    let tagged = call(&rules, Role::Gateway, &plain, headers).unwrap();
    assert_eq!((tagged.team.as_deref(), tagged.consumer.as_deref(), tagged.tags.len()), (None, None, 2));
}

#[test]
fn of_the_forwarded_header_only_its_end_is_believed() {
    let (a, b, c) = ("By=x;Hash=1;URI=spiffe://a", "Hash=2;URI=\"spiffe://b\";By=y", "URI=spiffe://c");
    let all = format!("{a},{b}, {c}");
    for (hops, caller) in [(1, "spiffe://c"), (2, "spiffe://b"), (3, "spiffe://a"), (9, "spiffe://a")] {
        assert_eq!(xfcc(&[&all], hops), caller);
        assert_eq!(xfcc(&[a, b, c], hops), caller);
        assert_eq!(xfcc(&[&format!("{a},{b}"), c], hops), caller);
    }
    assert_eq!(xfcc(&[], 1), "absent");
    assert_eq!(xfcc(&[""], 1), "absent");
    let subject = r#"Subject="CN=a,O=\"x\";URI=spiffe://forged";URI=spiffe://real;DNS=a;URI=spiffe://second"#;
    assert_eq!(xfcc(&[subject], 1), "spiffe://real");
    assert_eq!(xfcc(&["by=x;uri=spiffe://low;"], 1), "spiffe://low");
    assert_eq!(xfcc(&["URI=spiffe://a,By=x;Hash=1"], 1), "nobody", "the proxy did not say who");
    assert_eq!(xfcc(&["URI=spiffe://a,URI="], 1), "nobody");
}

#[test]
fn a_forwarded_header_that_is_no_list_names_nobody() {
    let real = "By=x;Subject=\"CN=me\";URI=spiffe://me";
    for front in [
        "URI=spiffe://admin;Subject=\"",
        "URI=spiffe://admin;Subject=\"\\",
        "URI=spiffe://admin\"",
        "Subject=\"x\"y",
        "spiffe://admin",
        "=x",
        "URI",
        ",",
        "UR I=x",
    ] {
        assert_eq!(xfcc(&[&format!("{front},{real}")], 1), "nobody", "{front}");
        assert_eq!(xfcc(&[&format!("{front},{real}")], 2), "nobody", "{front}");
    }
    assert_eq!(forwarded([&b"URI=\xff"[..]].into_iter(), 1), Forwarded::Nobody);
}

#[test]
fn a_hop_is_believed_only_behind_a_certificate() {
    let rules = Rules { trusted_hops: 1, ..rules() };
    let header = [("x-forwarded-client-cert", "URI=spiffe://forged,URI=spiffe://mesh/ns/search-api/sa/web")];
    let found = call(&rules, Role::Gateway, &from_peer("spiffe://mesh/ns/ingress/sa/gw"), &header).unwrap();
    assert_eq!((&*found.name, found.consumer.as_deref()), (PEER, Some("search")));
    assert_eq!(why(call(&rules, Role::Gateway, &Facts::default(), &header)).1, "anonymous");
    let found = call(&rules, Role::Gateway, &from_peer("spiffe://mesh/ns/ingress/sa/gw"), &[]).unwrap();
    assert_eq!(&*found.namespace, "ingress");
    let broken = [("x-forwarded-client-cert", "Subject=\"")];
    assert_eq!(why(call(&rules, Role::Gateway, &from_peer(PEER), &broken)).1, "anonymous");
}

#[test]
fn a_token_too_large_to_be_read_is_refused_and_not_left_out_of_account() {
    let many = Claim::List(vec![text("g"); 513]);
    let long = Claim::List(vec![text(&"g".repeat(MAX_TEXT + 1))]);
    for claims in [
        Claims::Unreadable,
        token(&[("groups", many)]),
        token(&[("groups", long)]),
        token(&[("team", text(&"t".repeat(1000)))]),
    ] {
        let facts = Facts { claims, ..from_peer(PEER) };
        assert_eq!(why(call(&rules(), Role::Gateway, &facts, &[])), (Code::InvalidApiKey, "token_unreadable"));
        assert!(call(&rules(), Role::Sidecar, &facts, &[]).is_ok(), "a sidecar has no token");
    }
}

#[test]
fn texts_from_outside_are_short_or_not_there() {
    let mut rules = rules();
    rules.said.end_user = vec![Source::Header("x-user".into())];
    rules.said.tags = (0..40).map(|n| format!("t{n}").into()).collect();
    let tags: Vec<String> = (0..40).map(|n| format!("t{n}={n}")).collect();
    let (tags, long) = (tags.join(","), "u".repeat(MAX_TEXT + 1));
    let found = call(&rules, Role::Sidecar, &Facts::default(), &[("x-user", &long), ("x-weir-tags", &tags)]).unwrap();
    assert_eq!((found.end_user.as_deref(), found.tags.len()), (None, MAX_TAGS));
    let found = call(&rules, Role::Sidecar, &Facts::default(), &[("x-user", "a\u{7}b")]).unwrap();
    assert_eq!(found.end_user, None);
    let uri = format!("spiffe://mesh/{}", "x".repeat(3000));
    assert_eq!(why(call(&rules, Role::Gateway, &from_peer(&uri), &[])).1, "anonymous");
}

proptest! {
    /// Whatever a client writes in front of what the trusted proxy adds, the caller is the one that the
    /// proxy names, or nobody.
    #[test]
    fn nothing_in_front_changes_who_is_behind(front in "[A-Za-z=;,\"\\\\ /:.]{0,60}") {
        let whole = format!("{front},By=x;Subject=\"CN=me\";URI=spiffe://me");
        let found = xfcc(&[&whole], 1);
        prop_assert!(found == "spiffe://me" || found == "nobody", "{found}");
    }

    #[test]
    fn no_header_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), hops in 0..4usize, name in 0..6usize) {
        let names = ["authorization", "x-forwarded-client-cert", "x-weir-tags", "x-user", "cookie", "x-api-key"];
        let mut rules = Rules { trusted_hops: hops, ..rules() };
        rules.said.end_user = vec![Source::Header("x-user".into())];
        rules.said.tags = vec!["a".into()];
        for role in [Role::Sidecar, Role::Gateway] {
            let _ = identify(&rules, role, &from_peer(PEER), || [(names[name], &bytes[..])].into_iter(), NOW);
        }
    }
}

/// A mesh that is federated with this one may have a namespace of the same name.
#[test]
fn a_peer_of_another_trust_domain_is_of_no_namespace() {
    let mut known = rules();
    known.trust_domains = vec!["mesh".into(), "mesh.local".into()];
    for (uri, namespace) in [
        ("spiffe://mesh/ns/billing/sa/x", "billing"),
        ("spiffe://mesh.local/ns/billing/sa/x", "billing"),
        ("spiffe://partner.example/ns/billing/sa/x", ""),
        ("spiffe://mesh.partner/ns/billing/sa/x", ""),
        ("spiffe:///ns/billing/sa/x", ""),
    ] {
        let found = call(&known, Role::Gateway, &from_peer(uri), &[]).unwrap();
        assert_eq!((&*found.namespace, found.spiffe.as_deref()), (namespace, Some(uri)));
    }
    let anywhere = call(&rules(), Role::Gateway, &from_peer("spiffe://partner.example/ns/billing/sa/x"), &[]).unwrap();
    assert_eq!(&*anywhere.namespace, "billing", "without a list every domain's ids count");
    let nowhere = call(&rules(), Role::Gateway, &from_peer("spiffe:///ns/billing/sa/x"), &[]).unwrap();
    assert_eq!(&*nowhere.namespace, "");
}
