//! `retry.on: [ContextTooLong]`: a model that cannot hold the call is passed over before it leaves, by an estimate
//! that errs towards leaving the call where it was to go.

use std::sync::Arc;

use weir::exchange::event::Action;
use weir::policy::Policy;
use weir::target::{Choice, Retry, RetryOn, Rule};
use weir::tokens::learned::Key;

use super::support::*;

/// Windows of the catalogue: what it reads, or reads and says together.
const SMALL: &str = "gpt-4";
const SMALL_WINDOW: u64 = 8_192;
const MIDDLE: &str = "gpt-3.5-turbo";
const LARGE: &str = "gpt-4.1";

/// `asked` goes to these models in turn, the first at `one` and the others at `two`.
fn policy_of(models: &[&str], on: &[RetryOn]) -> Policy {
    let mut policy = policy();
    let choice = |(at, model): (usize, &&str)| Choice {
        backend: at.min(1),
        model: Some((*model).into()),
        priority: at.try_into().expect("a few"),
        weight: 1,
    };
    let choices = models.iter().enumerate().map(choice).collect();
    let retry = Some(Arc::new(Retry { attempts: 1, on: on.into(), ..Retry::default() }));
    policy.targets.root.rules = vec![Rule { name: "r/long".into(), choices, retry, ..Rule::default() }].into();
    policy
}

/// A chat whose body has so many bytes, with these fields.
fn body(size: u64, fields: &str) -> String {
    let frame = format!(r#"{{"model":"asked",{fields}"messages":[{{"role":"user","content":""}}]}}"#);
    let text = "x".repeat(usize::try_from(size).expect("a size") - frame.len());
    frame.replace(r#""content":"""#, &format!(r#""content":"{text}""#))
}

fn world(models: &[&str]) -> World {
    World::new(policy_of(models, &[RetryOn::ContextTooLong]))
}

/// The model that it goes to, and what is written down of the others.
fn goes(mut world: World, body: &str) -> (String, Vec<String>) {
    world.call(CHAT, body).reply(json(), DOCUMENT).end();
    let record = world.record();
    let passed = record.decisions.iter().filter(|decision| decision.outcome == "passed_over");
    (record.sent_model.to_string(), passed.map(|one| format!("{} {}", one.detail, one.reason)).collect())
}

fn model(world: World, body: &str) -> String {
    goes(world, body).0
}

/// So many bytes that this many tokens of them are certain where nothing was learned: eight a token.
fn untaught(tokens: u64) -> u64 {
    tokens * 8
}

#[test]
fn a_call_that_does_not_fit_goes_to_the_next_model_that_holds_it() {
    let long = body(untaught(SMALL_WINDOW + 10), "");
    let passed = vec![format!("one/{SMALL} context_too_long")];
    assert_eq!(goes(world(&[SMALL, LARGE]), &long), (LARGE.to_owned(), passed));
    assert_eq!(model(world(&[SMALL, LARGE]), &body(untaught(SMALL_WINDOW), "")), SMALL);
    assert_eq!(model(world(&[SMALL, MIDDLE, LARGE]), &long), MIDDLE);
    // Nobody said so.
    let others = policy_of(&[SMALL, LARGE], &[RetryOn::RateLimited]);
    assert_eq!(goes(World::new(others), &long), (SMALL.to_owned(), Vec::new()));
    // A window that nobody knows holds everything.
    assert_eq!(model(world(&["made-up", LARGE]), &long), "made-up");
    assert_eq!(model(world(&[SMALL, "made-up", LARGE]), &long), "made-up");
}

#[test]
fn what_is_learned_of_the_model_moves_the_edge_and_an_eighth_is_left_for_doubt() {
    let taught = |tokens, bytes| {
        let world = world(&[SMALL, LARGE]);
        world.learned.observe_input(Key { backend: "one", model: SMALL }, tokens, bytes);
        world
    };
    // A quarter of a token a byte: seven eighths of it are certain.
    let edge = SMALL_WINDOW * 4 * 8 / 7;
    assert_eq!(model(taught(1_000, 4_000), &body(edge - 40, "")), SMALL);
    assert_eq!(model(taught(1_000, 4_000), &body(edge + 40, "")), LARGE);
    assert_eq!(model(world(&[SMALL, LARGE]), &body(edge + 40, "")), SMALL, "of this model nothing is known");
    // Short tokens, as of Chinese: the same bytes are more.
    assert_eq!(model(taught(1_000, 2_000), &body(edge / 2 + 40, "")), LARGE);
}

#[test]
fn the_stated_output_takes_its_part_of_the_window_unless_that_is_the_inputs_alone() {
    let size = untaught(SMALL_WINDOW - 1_000);
    assert_eq!(model(world(&[SMALL, LARGE]), &body(size, r#""max_tokens":900,"#)), SMALL);
    assert_eq!(model(world(&[SMALL, LARGE]), &body(size, r#""max_tokens":1100,"#)), LARGE);
    // Each answer has the window to itself.
    assert_eq!(model(world(&[SMALL, LARGE]), &body(size, r#""max_tokens":900,"n":9,"#)), SMALL);
    // GPT-5 reads 272,000 tokens beside what it says.
    let large = body(1 << 20, r#""max_tokens":200000,"#);
    assert_eq!(model(world(&["gpt-5", LARGE]), &large), "gpt-5");
    assert_eq!(model(world(&["gpt-4o", LARGE]), &large), LARGE);
}

#[test]
fn what_is_no_text_counts_nothing() {
    let image =
        format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}"}}}}"#, "A".repeat(1 << 20));
    let with_image = |text: &str| {
        format!(
            r#"{{"model":"asked","messages":[{{"role":"user","content":[{{"type":"text","text":"{text}"}},{image}]}}]}}"#
        )
    };
    assert_eq!(model(world(&[SMALL, LARGE]), &with_image("What is it?")), SMALL);
    assert_eq!(model(world(&[SMALL, LARGE]), &with_image(&"x".repeat(70_000))), LARGE);
}

#[test]
fn where_none_holds_it_the_largest_says_so() {
    let huge = body(untaught(20_000), "");
    let mut world = world(&[SMALL, MIDDLE, SMALL]);
    world.call(CHAT, &huge).reply(json(), DOCUMENT).end();
    let record = world.record();
    assert_eq!(&*record.sent_model, MIDDLE);
    let chosen = record.decisions.iter().find(|decision| decision.outcome == "chosen").expect("one was");
    assert_eq!(chosen.reason, "largest_window");
}

#[test]
fn the_proxy_is_told_nothing_of_it() {
    let ordered = |on: &[RetryOn]| {
        let mut world = World::new(policy_of(&[SMALL], on));
        world.call(CHAT, body(100, ""));
        let forward = world.actions.iter().find_map(|action| match action {
            Action::Forward { head, .. } => Some(head.clone()),
            _ => None,
        });
        let set = forward.expect("it left").set.into_iter().map(|(name, _)| name.to_string());
        set.filter(|name| name.starts_with("x-envoy-")).collect::<Vec<_>>()
    };
    assert_eq!(ordered(&[RetryOn::ContextTooLong]), Vec::<String>::new());
    let both = ordered(&[RetryOn::ContextTooLong, RetryOn::ServerError]);
    assert_eq!(both, ["x-envoy-retry-on", "x-envoy-max-retries"]);
}
