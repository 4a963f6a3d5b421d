//! The promise of the tally where tokens are counted exactly: Weir's bill of an answer that ended early
//! is what the mock says it produced, within one token, with no complete call to learn from.

use serde_json::Value;
use weir::exchange::event::{Answer, Failure, Note};
use weir::exchange::record::{Outcome, Record};
use weir::llm::UsageSource;
use weir::render::envoy::BodyMode;

use super::rig::{aborts, ask, wait};
use super::world::Stage;
use crate::support::response::Response;

/// The whole words of the mock that are in what a client has read.
fn words(read: &Response) -> u64 {
    let texts = read.events().into_iter().filter_map(|event| {
        let event: Value = serde_json::from_str(&event).ok()?;
        Some(event["choices"][0]["delta"]["content"].as_str()?.len() as u64)
    });
    texts.sum::<u64>() / 5
}

fn record_of<'a>(notes: &'a [Note], id: &str) -> &'a Record {
    let records = notes.iter().filter_map(|note| if let Note::Record(record) = note { Some(&**record) } else { None });
    records.into_iter().find(|record| *record.id == *id).expect("a record of the call")
}

async fn an_early_end_is_counted_exactly_before_anything_was_learned(mode: BodyMode) {
    let exactly = |policy: &mut weir::policy::Policy| policy.count_exactly = true;
    let stage =
        Stage::set(mode, exactly, Box::new(|_| (std::time::Duration::ZERO, Answer::Failed(Failure::Unavailable))))
            .await;
    let mut calls = Vec::new();
    // What the client leaves, and what the provider cuts.
    for (n, bytes) in [1, 900, 4000].into_iter().enumerate() {
        let name = format!("left-{n}");
        let headers = [("x-mock-tokens", "400"), ("x-mock-spacing", "5"), ("x-mock-id", name.as_str())];
        let mut connection = stage.open(&headers, &ask("first/gpt-4o-mini", true)).await;
        connection.read_body(bytes).await;
        calls.push((name, connection.abort()));
    }
    for (n, bytes) in ["1", "900", "7777"].into_iter().enumerate() {
        let name = format!("cut-{n}");
        let headers =
            [("x-mock-tokens", "100"), ("x-mock-spacing", "2"), ("x-mock-abort", bytes), ("x-mock-id", &name)];
        let read = stage.chat(&headers, &ask("first/gpt-4o-mini", true)).await;
        calls.push((name, read));
    }
    let notes = stage.notes(calls.len()).await;
    for (name, read) in &calls {
        let find = || stage.mock.tally().recent.into_iter().find(|request| request.id.as_deref() == Some(name));
        wait("end of the call at the mock", || async { find().is_some_and(|request| request.aborted) }).await;
        let (produced, read_words) = (find().expect("just seen").produced, words(read));
        let record = record_of(&notes, read.header("x-weir-request-id").expect("an id"));
        let billed = record.usage.output;
        assert!(billed <= produced + 1 && billed + 1 >= read_words, "{name}: {read_words} {billed} {produced}");
        assert_eq!(record.usage_source, UsageSource::Estimated, "{name}");
        assert!(matches!(record.outcome, Outcome::Abandoned | Outcome::Truncated), "{name}: {record:?}");
        assert_eq!(billed, record.text_bytes.expect("it was read") / 5, "{name}: counted, and not estimated");
        assert_eq!(record.uncounted, None);
    }
    stage.strike(&aborts()).await;
}

modes_that_stream!(an_early_end_is_counted_exactly_before_anything_was_learned);
