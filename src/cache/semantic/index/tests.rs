//! The index against a list that is looked through from end to end, and what it holds on to.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::cache::Tag;

const ROOMY: Limit = Limit { bytes: 64 << 20, place: 64 << 20 };

fn place(number: u8) -> Place {
    Place { namespace: Arc::from("shop"), tag: Tag([number; 16]) }
}

fn key(number: u32) -> Key {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_le_bytes());
    Key(key)
}

/// A vector like any other, by its seed.
fn vector(seed: u32, dimensions: usize) -> Vector {
    let mut state = u64::from(seed) * 2 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    Vector::new(&(0..dimensions).map(|_| next()).collect::<Vec<f32>>()).unwrap()
}

/// Near to another one: the more, the smaller `off` is.
fn beside(seed: u32, off: f32, dimensions: usize) -> Vector {
    let (base, other) = (raw(&vector(seed, dimensions)), raw(&vector(seed + 1_000_000, dimensions)));
    Vector::new(&base.iter().zip(other).map(|(base, other)| base + off * other).collect::<Vec<f32>>()).unwrap()
}

fn raw(vector: &Vector) -> Vec<f32> {
    vector
        .high()
        .iter()
        .zip(vector.low())
        .map(|(high, low)| f32::from(i16::from(*high) * 256 + i16::from(*low)))
        .collect()
}

fn kept(number: u32, vector: Vector, stored: u64) -> Kept {
    Kept { key: key(number), vector, stored, expires: stored + 100 }
}

#[test]
fn what_is_near_is_found_best_first_in_its_own_place_only() {
    let mut index = Index::new(ROOMY);
    for number in 0..1_000 {
        let off = number as f32 / 1_000.0;
        assert!(index.add(&place(1), key(1), &kept(number, beside(7, off, 48), 10), 10));
    }
    let found = index.nearest(&place(1), key(1), &vector(7, 48), 20, 0.99);
    assert_eq!(found.len(), MOST);
    assert_eq!(found[0], (key(0), 1.0));
    assert!(found.is_sorted_by(|one, other| one.1 >= other.1), "{found:?}");
    let numbers: Vec<Key> = (0..32).map(key).collect();
    assert_eq!(found.iter().map(|(key, _)| *key).collect::<Vec<_>>(), numbers);
    for (place, fingerprint, vector) in
        [(place(2), key(1), vector(7, 48)), (place(1), key(2), vector(7, 48)), (place(1), key(1), vector(7, 90))]
    {
        assert_eq!(index.nearest(&place, fingerprint, &vector, 20, -1.0), []);
    }
    // Not what has expired, whoever looks.
    assert_eq!(index.nearest(&place(1), key(1), &vector(7, 48), 110, -1.0), []);
}

#[test]
fn nobody_is_pushed_out_by_another_place() {
    let limit = Limit { bytes: 400_000, place: 300_000 };
    let mut index = Index::new(limit);
    for number in 0..20 {
        assert!(index.add(&place(1), key(1), &kept(number, vector(number, 384), 1), 1));
    }
    for number in 0..3_000 {
        index.add(&place(2), key(number % 7), &kept(number, vector(number, 384), u64::from(number)), 5);
        assert!(index.bytes() <= limit.bytes);
    }
    // All of the first one, and of the other one the youngest.
    assert!((0..20).all(|number| index.remove(&place(1), &key(number))));
    assert!((2_950..3_000).all(|number| index.remove(&place(2), &key(number))));
    assert!(!index.remove(&place(2), &key(0)));
}

#[test]
fn one_place_has_its_share_at_most() {
    let limit = Limit { bytes: 1 << 20, place: 100_000 };
    let mut index = Index::new(limit);
    for number in 0..500 {
        index.add(&place(1), key(1), &kept(number, vector(number, 384), u64::from(number)), 5);
        assert!(index.bytes() <= limit.place);
    }
    assert!(index.len() > 70, "{}", index.len());
    // An entry that is larger than all there may be changes nothing.
    let before = index.len();
    let mut tiny = Index::new(Limit { bytes: 1_000, place: 1_000 });
    assert!(!tiny.add(&place(1), key(1), &kept(1, vector(1, 384), 5), 5));
    assert_eq!((tiny.bytes(), index.len()), (0, before));
}

#[test]
fn what_has_expired_goes_first() {
    let mut index = Index::new(Limit { bytes: 200_000, place: 200_000 });
    let old = Kept { expires: 1_000, ..kept(0, vector(0, 384), 0) };
    assert!(index.add(&place(1), key(1), &old, 5));
    for number in 1..120 {
        index.add(&place(2), key(1), &Kept { expires: 50, ..kept(number, vector(number, 384), 40) }, 40);
    }
    for number in 1_000..1_100 {
        assert!(index.add(&place(2), key(2), &kept(number, vector(number, 384), 60), 60));
    }
    assert!(index.remove(&place(1), &key(0)), "it is older than all, and has not expired");
    assert!(!index.add(&place(1), key(1), &old, 1_000));
}

#[test]
fn a_fingerprint_is_loaded_at_once_and_a_place_forgotten() {
    let all: Vec<Kept> = (0..300).map(|number| kept(number, vector(number, 384), u64::from(number))).collect();
    let mut index = Index::new(ROOMY);
    // Those of 0 have expired by then.
    assert_eq!(index.load(&place(1), key(1), &all, 100), 299);
    assert_eq!(index.nearest(&place(1), key(1), &all[200].vector, 100, 0.9), [(key(200), 1.0)]);
    index.load(&place(2), key(1), &all[..50], 20);
    assert_eq!((index.forget(&place(1)), index.forget(&place(1))), (299, 0));
    assert_eq!(index.len(), 50);
    index.forget(&place(2));
    assert_eq!((index.len(), index.bytes()), (0, 0));
    // Where there is not room for all, it is for the youngest.
    let mut small = Index::new(Limit { bytes: 100_000, place: 100_000 });
    let loaded = small.load(&place(1), key(1), &all, 5);
    assert!((70..300).contains(&loaded), "{loaded}");
    assert!((0..u32::try_from(loaded).unwrap()).all(|back| small.remove(&place(1), &key(299 - back))));
}

/// What is done to an index.
#[derive(Clone, Debug)]
enum Step {
    Add { place: u8, fingerprint: u32, number: u32, seed: u32, ttl: u64 },
    Remove { place: u8, number: u32 },
    Forget { place: u8 },
    Wait { seconds: u64 },
    Look { place: u8, fingerprint: u32, seed: u32, at_least: f32 },
}

fn step() -> impl Strategy<Value = Step> {
    let (place, number, fingerprint, seed) = (0..3u8, 0..400u32, 0..3u32, 0..40u32);
    prop_oneof![
        12 => (place.clone(), fingerprint.clone(), number.clone(), seed.clone(), 1..60u64).prop_map(
            |(place, fingerprint, number, seed, ttl)| Step::Add { place, fingerprint, number, seed, ttl }
        ),
        4 => (place.clone(), number).prop_map(|(place, number)| Step::Remove { place, number }),
        1 => place.clone().prop_map(|place| Step::Forget { place }),
        1 => (0..20u64).prop_map(|seconds| Step::Wait { seconds }),
        4 => (place, fingerprint, seed, prop::sample::select(vec![-1.0, 0.0, 0.5, 0.9, 0.999])).prop_map(
            |(place, fingerprint, seed, at_least)| Step::Look { place, fingerprint, seed, at_least }
        ),
    ]
}

/// Vectors of which many are near to one another.
fn sown(seed: u32) -> Vector {
    beside(seed % 4, seed as f32 / 100.0, 40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// As long as there is room, it finds exactly what looking through everything finds.
    #[test]
    fn it_is_a_list_that_is_looked_through(steps in prop::collection::vec(step(), 1..600)) {
        let mut index = Index::new(ROOMY);
        let mut list: HashMap<(u8, u32), (u32, Vector, u64)> = HashMap::new();
        let mut now = 1_000;
        for step in steps {
            match step {
                Step::Add { place: at, fingerprint, number, seed, ttl } => {
                    let kept = Kept { key: key(number), vector: sown(seed), stored: now, expires: now + ttl };
                    prop_assert!(index.add(&place(at), key(fingerprint), &kept, now));
                    list.insert((at, number), (fingerprint, sown(seed), now + ttl));
                }
                Step::Remove { place: at, number } => {
                    let there = list.remove(&(at, number));
                    let removed = index.remove(&place(at), &key(number));
                    // One that has expired may be gone already.
                    prop_assert!(removed == there.is_some() || there.is_some_and(|(.., expires)| expires <= now));
                }
                Step::Forget { place: at } => {
                    index.forget(&place(at));
                    list.retain(|(there, _), _| *there != at);
                }
                Step::Wait { seconds } => now += seconds,
                Step::Look { place: at, fingerprint, seed, at_least } => {
                    let asked = sown(seed);
                    let near = |(of, vector, expires): &(u32, Vector, u64)| {
                        let similarity = asked.similarity(vector);
                        (*of == fingerprint && *expires > now && similarity >= at_least).then_some(similarity)
                    };
                    let all = list.iter().filter(|((there, _), _)| *there == at);
                    let mut expected: Vec<f32> = all.filter_map(|(_, kept)| near(kept)).collect();
                    expected.sort_by(|one, other| other.total_cmp(one));
                    expected.truncate(MOST);
                    let found = index.nearest(&place(at), key(fingerprint), &asked, now, at_least);
                    prop_assert_eq!(found.iter().map(|(_, similarity)| *similarity).collect::<Vec<_>>(), expected);
                    for (found, similarity) in found {
                        let number = u32::from_le_bytes(found.0[..4].try_into().unwrap());
                        prop_assert_eq!(near(&list[&(at, number)]), Some(similarity));
                    }
                }
            }
        }
        (0..3).for_each(|at| _ = index.forget(&place(at)));
        prop_assert_eq!((index.len(), index.bytes()), (0, 0));
    }

    /// However it is used, it keeps to its bytes.
    #[test]
    fn it_never_holds_more_than_it_may(steps in prop::collection::vec(step(), 1..400), bytes in 2_000usize..60_000) {
        let limit = Limit { bytes, place: bytes / 2 };
        let mut index = Index::new(limit);
        let mut now = 0;
        for step in steps {
            match step {
                Step::Add { place: at, fingerprint, number, seed, ttl } => {
                    let kept = Kept { key: key(number), vector: sown(seed), stored: now, expires: now + ttl };
                    index.add(&place(at), key(fingerprint), &kept, now);
                }
                Step::Remove { place: at, number } => _ = index.remove(&place(at), &key(number)),
                Step::Forget { place: at } => _ = index.forget(&place(at)),
                Step::Wait { seconds } => now += seconds,
                Step::Look { .. } => {}
            }
            prop_assert!(index.bytes() <= limit.bytes);
        }
    }
}
