//! The index says what walking all rules says; what it costs is printed by an ignored test.

use proptest::prelude::*;

use super::*;
use crate::llm::Operation;
use crate::target::{Glob, HeaderMatch, RuleName};

type Said = (Option<String>, Option<(u8, String)>, bool, Option<usize>);

/// What walking says, word for word as the configuration's documentation has it.
fn walked<'a>(rules: &'a [Rule], asked: &Asked<'_>) -> Option<&'a Rule> {
    let says = |rule: &Rule, only_exact: bool| {
        let fits = |says: &&Match| !only_exact || says.is_exact();
        rule.matches.iter().filter(fits).any(|says| says.admits(asked))
    };
    rules.iter().find(|rule| says(rule, true)).or_else(|| rules.iter().find(|rule| says(rule, false)))
}

fn rules(said: Vec<Vec<Said>>) -> Rules {
    let header =
        |(name, value): (u8, String)| HeaderMatch { name: format!("x-{name}").into(), value: Glob::new(&value) };
    let one = |(model, of, chat, from): Said| Match {
        model: model.map(|model| Glob::new(&model)),
        headers: of.map(header).into_iter().collect(),
        operation: chat.then_some(Operation::Chat),
        from,
    };
    let rule = |(at, said): (usize, Vec<Said>)| Rule {
        name: RuleName::passthrough(None, &at.to_string()),
        matches: said.into_iter().map(one).collect(),
        ..Rule::default()
    };
    said.into_iter().enumerate().map(rule).collect::<Vec<_>>().into()
}

fn said() -> impl Strategy<Value = Said> {
    let model = prop::option::weighted(0.8, "[abé]{0,3}[*]?[abé]{0,2}[*]?");
    (
        model,
        prop::option::weighted(0.4, (0_u8..2, "[xy*]{1,2}")),
        prop::bool::weighted(0.2),
        prop::option::weighted(0.3, 0..2_usize),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_index_agrees_with_walking(
        said in prop::collection::vec(prop::collection::vec(said(), 0..3), 0..12),
        model in "[abé]{0,6}",
        values in prop::array::uniform2(prop::option::of("[xy]{1,2}")),
        chat in any::<bool>(),
        callers in any::<[bool; 2]>(),
    ) {
        let rules = rules(said);
        let header = |name: &str| values[usize::from(name == "x-1")].as_deref();
        let operation = if chat { Operation::Chat } else { Operation::Embeddings };
        let asked = Asked { namespace: "", model: &model, operation, header: &header, caller: &|from| callers[from] };
        let name = |rule: &Rule| rule.name.clone();
        prop_assert_eq!(rules.find(&asked).map(name), walked(&rules, &asked).map(name));
    }
}

/// A thousand routes of every kind; `cargo test --release --lib target::index -- --ignored --nocapture`.
#[test]
#[ignore = "prints what a look-up costs"]
fn a_thousand_rules() {
    let said = (0..1000).map(|at: usize| match at % 4 {
        0 => vec![(Some(format!("model-{at}")), None, false, None)],
        1 => vec![(Some(format!("{}-{at}-*", "family".repeat(at % 7))), None, false, None)],
        2 => vec![(Some("shared".to_owned()), Some((0, format!("tenant-{at}"))), false, None)],
        _ => vec![(None, Some((1, format!("tier-{at}"))), true, None)],
    });
    let rules = rules(said.collect());
    let fields: Vec<(String, String)> = (2..20).map(|at| (format!("x-{at}"), "v".repeat(20))).collect();
    for (model, tenant, tier) in [
        ("model-996", "none", "none"),
        ("family-familyfamily-1-none", "none", "none"),
        ("familyfamily-989-x", "none", "none"),
        ("shared", "tenant-998", "none"),
        ("nothing-like-any-of-them", "none", "tier-999"),
        ("nothing-like-any-of-them", "none", "none"),
    ] {
        let header = |name: &str| match name {
            "x-0" => Some(tenant),
            "x-1" => Some(tier),
            name => fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()),
        };
        let operation = Operation::Chat;
        let asked = Asked { namespace: "", model, operation, header: &header, caller: &|_| true };
        let found = rules.find(&asked).map(|rule| rule.name.clone());
        assert_eq!(found, walked(&rules, &asked).map(|rule| rule.name.clone()));
        let begun = std::time::Instant::now();
        for _ in 0..100_000 {
            std::hint::black_box(rules.find(std::hint::black_box(&asked)));
        }
        println!("{model} {tenant} {tier}: {} ns", begun.elapsed().as_nanos() / 100_000);
    }
}
