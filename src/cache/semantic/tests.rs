//! Pairs of questions, beside this file: those whose answers differ, and those that one answer serves. No answer may be
//! served to a question of the first, by any embedder; of the second the test prints how many each one serves.

use std::collections::BTreeMap;

use super::*;

/// Two questions of a domain.
type Pair = [&'static str; 3];
/// The similarity of a pair.
type Similarity = Box<dyn Fn(&Pair) -> f32>;

const DIFFER: &str = include_str!("tests/differ.txt");
const HELD_OUT: &str = include_str!("tests/held_out.txt");
const SAME: &str = include_str!("tests/same.txt");
/// Recorded, as the weights are not part of the project.
const MINILM: &str = include_str!("tests/minilm.txt");

fn pairs(text: &'static str) -> Vec<Pair> {
    let rows = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let pair = |line: &'static str| line.splitn(3, " | ").collect::<Vec<_>>().try_into();
    rows.map(|line| pair(line).unwrap_or_else(|_| panic!("no pair: {line}"))).collect()
}

/// What each embedder makes of a pair.
fn embedders() -> [(&'static str, Similarity); 2] {
    let recorded =
        pairs(MINILM).into_iter().map(|[similarity, one, other]| ((one, other), similarity.parse().unwrap()));
    let recorded: BTreeMap<(&str, &str), f32> = recorded.collect();
    let vector = |text: &str| Vector::new(&lexical::embed(text).unwrap()).unwrap();
    [
        ("lexical", Box::new(move |[_, one, other]: &Pair| vector(one).similarity(&vector(other)))),
        ("MiniLM", Box::new(move |[_, one, other]: &Pair| recorded[&(*one, *other)])),
    ]
}

#[test]
fn no_wrong_answer_is_served_and_the_hit_rate_is_what_it_is() {
    let threshold = Threshold::default();
    let sets = [("differ", pairs(DIFFER)), ("held out", pairs(HELD_OUT)), ("same", pairs(SAME))];
    assert!(sets[0].1.len() + sets[1].1.len() >= 300 && sets[1].1.len() >= 100 && sets[2].1.len() >= 80);
    for (embedder, similarity) in embedders() {
        for (set, pairs) in &sets {
            let near: Vec<&Pair> = pairs.iter().filter(|pair| threshold.admits(similarity(pair))).collect();
            let mut vetoes: BTreeMap<Veto, usize> = BTreeMap::new();
            near.iter()
                .filter_map(|[_, one, other]| veto(one, other))
                .for_each(|veto| *vetoes.entry(veto).or_default() += 1);
            let served = near.len() - vetoes.values().sum::<usize>();
            let vetoes: Vec<String> = vetoes.iter().map(|(veto, count)| format!("{} {count}", veto.as_str())).collect();
            println!(
                "{embedder}, {set}: of {} pairs {} are near enough, {served} served; vetoed: {}",
                pairs.len(),
                near.len(),
                vetoes.join(", ")
            );
            if *set == "same" {
                assert!(served > 0, "nothing is ever served");
            } else {
                assert_eq!(served, 0);
            }
        }
    }
}

/// Another embedder may put any of them at 1: the veto alone keeps all of them apart.
#[test]
fn the_veto_needs_no_embedder() {
    for [_, one, other] in pairs(DIFFER).into_iter().chain(pairs(HELD_OUT)) {
        assert!(veto(one, other).is_some(), "{one} / {other}");
    }
    let same = pairs(SAME);
    let passed = same.iter().filter(|[_, one, other]| veto(one, other).is_none()).count();
    println!("the veto lets {passed} of {} paraphrases pass", same.len());
}
