//! Units other than tokens, as each API writes them.

use serde_json::{Value, json};

use super::{scan, scan_events};
use crate::llm::{Units, Usage};
use crate::wire::scan::{Aside, Scan};

fn units(units: Units) -> Option<Usage> {
    Some(Usage { units, ..Usage::default() })
}

/// What a body states, read whole; and that any split states the same.
fn read(body: &Value) -> (Option<Usage>, Aside, u32) {
    let text = body.to_string();
    let seen = scan(text.as_bytes());
    assert!(seen.complete && !seen.malformed, "{body}");
    for at in 0..=text.len() {
        let mut split = Scan::new();
        split.push(&text.as_bytes()[..at]);
        split.push(&text.as_bytes()[at..]);
        assert_eq!(split.seen(), &seen, "cut at {at}");
    }
    (seen.usage, seen.aside, seen.unknown_usage_fields)
}

#[test]
fn every_api_states_its_units_where_its_reference_says() {
    let tokens = |input, output| Usage { input, output, ..Usage::default() };
    let rows = [
        (
            "OpenAI transcription, by duration",
            json!({"text": "Water.", "usage": {"type": "duration", "seconds": 9}}),
            units(Units { audio_in_ms: 9_000, ..Units::default() }),
        ),
        (
            "a fraction of a second, rounded to the nearest millisecond",
            json!({"usage": {"type": "duration", "seconds": 8.470_500_26}}),
            units(Units { audio_in_ms: 8_471, ..Units::default() }),
        ),
        (
            "Mistral transcription",
            json!({"usage": {"prompt_audio_seconds": 30, "prompt_tokens": 150, "completion_tokens": 42, "total_tokens": 192}}),
            Some(Usage { units: Units { audio_in_ms: 30_000, ..Units::default() }, ..tokens(150, 42) }),
        ),
        (
            "Cohere rerank",
            json!({"id": "r", "results": [{"index": 0, "relevance_score": 0.5}],
                "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 2}}}),
            units(Units { queries: 2, ..Units::default() }),
        ),
        (
            "Cohere embed, a number written as a float",
            json!({"embeddings": {"float": [[0.5]]}, "meta": {"billed_units": {"images": 3.0, "input_tokens": 4.0}}}),
            Some(Usage { units: Units { images_in: 3, ..Units::default() }, ..tokens(4, 0) }),
        ),
        (
            "Cohere chat: what is billed, not what the model saw",
            json!({"usage": {"billed_units": {"input_tokens": 5, "output_tokens": 8}, "tokens": {"input_tokens": 71, "output_tokens": 9}}}),
            Some(tokens(5, 8)),
        ),
        (
            "Mistral OCR",
            json!({"pages": [{"index": 0}], "model": "m", "usage_info": {"pages_processed": 7, "doc_size_bytes": 4096}}),
            units(Units { pages: 7, ..Units::default() }),
        ),
        ("nothing", json!({"meta": {"billed_units": {}}, "usage_info": {}, "usage": {}}), None),
        ("elsewhere", json!({"results": [{"meta": {"billed_units": {"search_units": 2}}}], "seconds": 9}), None),
    ];
    for (name, body, usage) in rows {
        let (found, _, unknown) = read(&body);
        assert_eq!((found, unknown), (usage, 0), "{name}");
    }
}

#[test]
fn what_is_billed_and_has_no_unit_here_is_counted_as_unknown() {
    let annotated = json!({"usage_info": {"pages_processed": 2, "pages_processed_annotation": 2}});
    assert_eq!(read(&annotated).2, 1);
    assert_eq!(read(&json!({"usage_info": {"pages_processed": 2, "pages_processed_annotation": 0}})).2, 0);
    assert_eq!(read(&json!({"meta": {"billed_units": {"classifications": 1}}})).2, 1);
    for wrong in [json!(-1), json!("9"), json!(1e300)] {
        let (usage, _, unknown) = read(&json!({"usage": {"type": "duration", "seconds": wrong}}));
        assert_eq!((usage, unknown), (None, u32::from(!wrong.is_string())), "{wrong}");
    }
}

#[test]
fn facts_beside_the_usage_are_kept_apart() {
    let aside = |body: Value| read(&body).1;
    let image = json!({"b64_json": "aGk=", "revised_prompt": "data"});
    let two = aside(json!({"created": 1, "data": [image, image], "size": "1024x1024", "quality": "hd"}));
    assert_eq!((two.images, two.size.as_deref(), two.quality.as_deref()), (2, Some("1024x1024"), Some("hd")));
    // Only objects that stand in it, and only in the one at the top.
    let odd =
        json!({"data": [{"data": [{}, {}]}, null, "x", [{}]], "result": {"data": [{}], "size": "x", "duration": 1}});
    assert_eq!(aside(odd), Aside { images: 1, ..Aside::default() });
    assert_eq!(aside(json!({"data": {"url": "x"}})).images, 0);
    assert_eq!(aside(json!({"duration": 8.47, "text": "x"})).duration_ms, Some(8_470));
    assert_eq!(aside(json!({"duration": "8.47", "data": []})), Aside::default());
    let total = aside(json!({"usage": {"total_tokens": 57}}));
    assert_eq!(total, Aside { total_tokens: Some(57), ..Aside::default() });
}

#[test]
fn a_stream_has_as_many_images_as_whole_ones_came() {
    let usage = json!({"input_tokens": 9, "output_tokens": 272, "total_tokens": 281,
        "input_tokens_details": {"text_tokens": 9, "image_tokens": 0}});
    let seen = scan_events(&[
        json!({"type": "image_generation.partial_image", "b64_json": "aGk=", "partial_image_index": 0}),
        json!({"b64_json": "aGk=", "type": "image_generation.completed", "usage": usage, "size": "1024x1024"}),
        json!({"type": "image_edit.completed", "b64_json": "aGk="}),
    ]);
    assert_eq!((seen.aside.images, seen.text_bytes), (2, 0));
    assert_eq!(seen.usage.map(|usage| (usage.input, usage.output)), Some((9, 272)));
}
