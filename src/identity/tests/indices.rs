//! The index finds what a look at every pattern finds; and how long it takes.

use proptest::prelude::*;

use super::*;

fn naive(patterns: &[Glob], name: &str) -> Option<u32> {
    patterns.iter().position(|glob| glob.matches(name)).map(|at| at.try_into().unwrap())
}

proptest! {
    #[test]
    fn an_index_is_a_look_at_every_pattern(
        patterns in prop::collection::vec("[ab\u{e9}*]{0,5}", 0..30),
        names in prop::collection::vec("[ab\u{e9}]{0,6}", 1..20),
    ) {
        let globs: Vec<Glob> = patterns.iter().map(|text| Glob::new(text)).collect();
        let mut index = Index::default();
        // In any order: the owner says which is first.
        for (owner, glob) in globs.iter().enumerate().rev() {
            index.add(glob, owner.try_into().unwrap());
        }
        for name in names {
            prop_assert_eq!(index.first(&name), naive(&globs, &name), "{:?} in {:?}", name, patterns);
        }
    }

    /// Each consumer by a key, a namespace, a SPIFFE id and a claim.
    #[test]
    fn a_directory_finds_the_first_document(
        spaces in prop::collection::vec("[ab*]{1,3}", 1..12),
        name in "[ab]{1,4}",
    ) {
        let mut directory = Directory::default();
        for (at, space) in spaces.iter().enumerate() {
            let uri = format!("spiffe://d/ns/{space}/sa/*");
            let how = [
                Match::Namespaces(vec![Glob::new(space)]),
                Match::Principals(vec![Glob::new(&uri)]),
                Match::Jwt(vec![("ns".into(), space.as_str().into())]),
            ];
            directory.add(consumer(&at.to_string(), None), how);
        }
        let matches = |space: &&String| Glob::new(space).matches(&name);
        let expected = spaces.iter().position(|space| matches(&space)).map(|at| at.to_string());
        let found = |found: Option<&Consumer>| found.map(|consumer| consumer.name.to_string());
        prop_assert_eq!(found(directory.by_namespace(&name)), expected.clone());
        let uri = format!("spiffe://d/ns/{name}/sa/x");
        prop_assert_eq!(found(directory.by_peer(&uri, "")), expected.clone());
        prop_assert_eq!(found(directory.by_peer(&uri, &name)), expected);
        let literal = spaces.iter().position(|space| *space == name).map(|at| at.to_string());
        let claims = Claim::Map(vec![("ns".into(), Claim::Text(name.as_str().into()))]);
        prop_assert_eq!(found(directory.by_claims(&claims)), literal);
    }
}

/// Prints what a look-up costs. Run it with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn ten_thousand_consumers() {
    let mut directory = Directory::default();
    let keys: Vec<String> = (0..10_000_u32)
        .map(|n| {
            let mut random = [7; key::RANDOM];
            random[..4].copy_from_slice(&n.to_be_bytes());
            new_key(&random)
        })
        .collect();
    for (n, text) in keys.iter().enumerate() {
        let key = Key { name: "k".into(), digest: Digest::of(text), not_after: None, state: State::Active };
        let how = [
            Match::Keys(vec![key]),
            Match::Namespaces(vec![Glob::new(&format!("team-{n}-*"))]),
            Match::Principals(vec![Glob::new(&format!("spiffe://mesh/ns/team-{n}-*/sa/*"))]),
            Match::Jwt(vec![("sub".into(), format!("svc-{n}").into())]),
        ];
        directory.add(consumer(&format!("c{n}"), Some("t")), how);
    }
    let time = |what: &str, mut one: Box<dyn FnMut(usize) -> bool + '_>| {
        let begin = std::time::Instant::now();
        let found = (0..10_000).filter(|&n| one(n * 7919 % 10_000)).count();
        assert_eq!(found, 10_000, "{what}");
        println!("{what}: {:?} each", begin.elapsed() / 10_000);
    };
    time("by key", Box::new(|n| directory.by_key(&keys[n], NOW).is_ok()));
    let spaces: Vec<String> = (0..10_000).map(|n| format!("team-{n}-x")).collect();
    time("by namespace", Box::new(|n| directory.by_namespace(&spaces[n]).is_some()));
    let peers: Vec<String> = spaces.iter().map(|space| format!("spiffe://mesh/ns/{space}/sa/web")).collect();
    time("by peer", Box::new(|n| directory.by_peer(&peers[n], &spaces[n]).is_some()));
    let claims: Vec<Claim> = (0..10_000).map(|n| Claim::Map(vec![("sub".into(), text(&format!("svc-{n}")))])).collect();
    time("by claims", Box::new(|n| directory.by_claims(&claims[n]).is_some()));
}
