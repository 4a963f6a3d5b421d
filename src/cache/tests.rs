//! Partitions, places, and what is not kept.

use std::sync::Arc;

use super::*;

#[test]
fn nobody_is_in_another_partition_and_who_is_not_known_in_none() {
    let (ann, red, none) = (Arc::from("ann"), Arc::from("red"), Arc::from(""));
    let known = Caller { consumer: Some(&ann), team: Some(&red), namespace: Some(&red) };
    let nobody = Caller { namespace: Some(&none), ..Caller::default() };
    for (scope, expected) in [
        (Scope::Consumer, Partition::Consumer(ann.clone())),
        (Scope::Team, Partition::Team(red.clone())),
        (Scope::Namespace, Partition::Namespace(red.clone())),
    ] {
        assert_eq!((known.partition(scope), nobody.partition(scope)), (Some(expected), None));
    }
    assert_eq!(nobody.partition(Scope::Shared), Some(Partition::Shared));
}

#[test]
fn every_partition_has_a_place_of_its_own() {
    let secret = Secret::random([7; 32]);
    let digest = Digest([1; 32]);
    let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
    let partitions = [
        Partition::Consumer(a.clone()),
        Partition::Consumer(b.clone()),
        Partition::Team(a.clone()),
        Partition::Namespace(a.clone()),
        Partition::Shared,
    ];
    let mut seen = Vec::new();
    for namespace in [&a, &b] {
        for partition in &partitions {
            let (place, key) = secret.place(namespace, partition, digest);
            assert_eq!((place.clone(), key), secret.place(namespace, partition, digest));
            assert!(seen.iter().all(|(other, known): &(Place, Key)| *other != place && *known != key));
            assert_ne!(secret.place(namespace, partition, Digest([2; 32])).1, key);
            assert_ne!(Secret::random([8; 32]).place(namespace, partition, digest), (place.clone(), key));
            seen.push((place, key));
        }
    }
    assert_eq!(Secret::shared(b"one").place(&a, &Partition::Shared, digest), {
        Secret::shared(b"one").place(&a, &Partition::Shared, digest)
    });
    assert!(!format!("{secret:?}").contains('7'));
}
