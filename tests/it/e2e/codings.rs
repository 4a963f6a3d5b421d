//! Compressed answers: they reach the client byte for byte, and are billed as if they were plain.

use weir::mock::encode::Coding;
use weir::render::envoy::BodyMode;
use weir::wire::decode::{Decoder, Limits};

use super::egress::{Egress, ONE_BACKEND};
use super::pair::{BOTH, Call, assert_same, both};
use crate::support::envoy_stats::Exceptions;

const ASK: &str = r#"{"model":"m","messages":[{"role":"user","content":"0123456789abcdef"}]}"#;
const STREAM: &str = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"0123456789abcdef"}]}"#;

async fn a_compressed_answer_is_billed_as_a_plain_one(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let mut count = 0;
    for coding in Coding::ALL {
        let name = coding.name();
        let forced = format!("{name}!");
        // What the client accepts is what the provider is asked for; what it sends unasked is read as well.
        for (order, accepted) in [(name, Some(name)), (&forced, None)] {
            for (protocol, body) in BOTH.into_iter().flat_map(|protocol| [(protocol, ASK), (protocol, STREAM)]) {
                let mut call = Call::chat(body).with(&[("x-mock-encoding", order), ("x-mock-tokens", "20")]);
                call = accepted.iter().fold(call, |call, name| call.with(&[("accept-encoding", *name)]));
                let (direct, through) = both(&egress, protocol, name, &call).await;
                assert_same(order, &direct, &through);
                assert_eq!((through.status, through.header("content-encoding")), (200, Some(name)));
                let mut text = Vec::new();
                let mut decoder = Decoder::new(name, Limits::default()).expect("it is known");
                decoder.push(&through.body, &mut text).and_then(|()| decoder.finish()).expect("it can be decoded");
                let end = if body == STREAM { &b"[DONE]"[..] } else { b"}" };
                assert!(text.trim_ascii_end().ends_with(end), "{order}: {}", String::from_utf8_lossy(&text));
                count += 1;
            }
        }
    }
    let records = egress.ledger_of(count).await;
    assert_eq!(records.len(), count);
    for record in records {
        assert_eq!(record["usageSource"], "USAGE_SOURCE_PROVIDER", "{record}");
        assert_eq!((&record["usage"]["input"], &record["usage"]["output"]), (&"4".into(), &"20".into()), "{record}");
    }
    egress.assert_clean(&Exceptions::default()).await;
}

every_mode!(a_compressed_answer_is_billed_as_a_plain_one);
