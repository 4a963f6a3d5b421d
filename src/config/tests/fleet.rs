//! What replicas share, and the limits that are counted there.

use super::fake::{Fakes, lines, load_text};
use super::*;
use crate::cache::redis::AtRest;
use crate::limit::Counting;

const STORE: &str = "{apiVersion: weir.dev/v1alpha1, kind: WeirBootstrap, metadata: {name: p}, spec: {stores: {redis: \
                     {urls: ['rediss://cache:6380/1'], username: weir, password: {file: /keys/redis}}}}}\n---\n";

fn policy(words: &str) -> String {
    format!(
        "{{apiVersion: weir.dev/v1alpha1, kind: LLMLimitPolicy, metadata: {{name: fair}}, spec: {{{words}limits: \
         [{{name: rpm, unit: Requests, amount: 1, period: {{rolling: 1m}}}}]}}}}"
    )
}

fn fakes(files: &[(&'static str, &'static str)]) -> Fakes {
    Fakes { files: files.iter().copied().collect(), ..Fakes::default() }
}

#[test]
fn the_store_has_its_password_and_what_is_not_said_is_usual() {
    let compiled =
        load_text(&(STORE.to_owned() + &policy("counting: Fleet, ")), &fakes(&[("/keys/redis", "pw\n")])).unwrap();
    assert_eq!(lines(&compiled.warnings), "");
    let Store { redis, password, .. } = compiled.store.unwrap();
    assert_eq!(
        (redis.urls[0].as_str(), redis.username.as_deref(), redis.prefix.as_str()),
        ("rediss://cache:6380/1", Some("weir"), "weir")
    );
    assert_eq!((redis.timeout.as_millis(), password.unwrap().expose()), (20, "pw"));
    assert!(compiled.policy.asks_store());
    let rule = &compiled.policy.limits[0].rules[0];
    assert_eq!(rule.limit.counting, Counting::Fleet { lease: 10 });
}

#[test]
fn a_password_that_is_not_there_is_a_warning() {
    let compiled = load_text(STORE, &fakes(&[])).unwrap();
    assert_eq!(lines(&compiled.warnings), "weir.yaml:1:spec.stores.redis.password: file /keys/redis does not exist");
    assert!(compiled.store.is_some_and(|store| store.password.is_none()) && !compiled.policy.asks_store());
}

#[test]
fn a_lease_is_as_stated_or_a_tenth() {
    for (words, lease) in [("lease: 25%, ", 25), ("lease: 0%, ", 0), ("", 10)] {
        let text = STORE.to_owned() + &policy(&format!("counting: Fleet, {words}"));
        let compiled = load_text(&text, &fakes(&[("/keys/redis", "pw")])).unwrap();
        assert_eq!(lines(&compiled.warnings), "");
        assert_eq!(compiled.policy.limits[0].rules[0].limit.counting, Counting::Fleet { lease }, "{words}");
    }
}

#[test]
fn a_fleet_without_a_store_is_refused_and_what_could_not_be_read_is_not_missed() {
    let said = |text: String| lines(&load_text(&text, &fakes(&[])).unwrap_err());
    let alone = said(policy("counting: Fleet, "));
    assert!(alone.starts_with("weir.yaml:1:spec.counting: NoSharedStore: policy \"fair\" "), "{alone}");
    let wrong = said(STORE.replace("rediss:", "http:") + &policy("counting: Fleet, "));
    assert!(wrong.contains("not a URL of Redis") && !wrong.contains("NoSharedStore"), "{wrong}");
}

/// The key is text of one form or another; what is wrong with it is no error of the store, and nothing of it is said.
#[test]
fn answers_lie_sealed_or_not_at_all_unless_somebody_wants_it_otherwise() {
    const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
    const OTHER: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let with = |words: &str, file: &'static str| {
        let text = STORE.replace("password: {file: /keys/redis}", words);
        let compiled = load_text(&text, &fakes(&[("/keys/cache", file)])).unwrap_or_else(|e| panic!("{}", lines(&e)));
        (compiled.store.unwrap().at_rest, lines(&compiled.warnings))
    };
    let keyed = "encryptionKey: {file: /keys/cache}";
    for file in [KEY, OTHER] {
        let (at_rest, warnings) = with(keyed, file);
        assert!(matches!(at_rest, Some(AtRest::Sealed(_))), "{file}");
        assert_eq!(warnings, "");
    }
    assert_ne!(with(keyed, KEY).0, with(keyed, OTHER).0);
    assert_eq!(with("encryption: Disabled", ""), (Some(AtRest::Plain), String::new()));
    assert_eq!(with("encryption: Enabled", ""), (None, String::new()));
    for (file, why) in [("CANARY", "line 1 is no key"), ("", "is empty"), ("\n\n", "is empty")] {
        let (at_rest, warnings) = with(keyed, file);
        assert!(
            at_rest.is_none() && warnings.starts_with("weir.yaml:1:spec.stores.redis.encryptionKey: "),
            "{warnings}"
        );
        assert!(warnings.contains(why) && warnings.ends_with("without it answers are kept in each process alone"));
        assert!(!warnings.contains("CANARY"), "{warnings}");
    }
    let both =
        STORE.replace("password: {file: /keys/redis}", "encryption: Disabled, encryptionKey: {file: /keys/cache}");
    assert_eq!(
        lines(&load_text(&both, &fakes(&[("/keys/cache", KEY)])).unwrap_err()),
        "weir.yaml:1:spec.stores.redis.encryptionKey: is for `encryption: Enabled`: leave one of them out"
    );
}
