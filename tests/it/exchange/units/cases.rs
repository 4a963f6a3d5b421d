//! Requests and answers of each API, as its reference has them, and what they come to.

use weir::exchange::event::ResponseHead;
use weir::llm::{Units, Usage, UsageSource};

use crate::exchange::support::*;

const IMAGES: &str = "/v1/images/generations";
const SPEECH: &str = "/v1/audio/speech";
const TRANSCRIPTIONS: &str = "/v1/audio/transcriptions";
const RERANK: &str = "/v1/rerank";

/// A request and its answer, and what they come to.
pub struct Case {
    pub name: &'static str,
    pub path: &'static str,
    pub request: Vec<u8>,
    pub head: ResponseHead,
    pub answer: Vec<u8>,
    pub usage: Usage,
    pub source: UsageSource,
    /// In nano-USD.
    pub cost: Option<i64>,
}

/// Usage, where it comes from, and nano-USD.
pub type Said = (Usage, UsageSource, Option<i64>);

pub fn only(units: Units) -> Usage {
    Usage { units, ..Usage::default() }
}

fn seconds(audio_in_ms: u64) -> Usage {
    only(Units { audio_in_ms, ..Units::default() })
}

fn text() -> ResponseHead {
    response(200, &[("content-type", "text/plain; charset=utf-8")])
}

/// A form with a WAV of 16,000 bytes a second that plays for `ms`.
fn form(model: &str, ms: u32) -> Vec<u8> {
    let sound = 16 * ms;
    let format = [&[1, 0, 1, 0][..], &8000_u32.to_le_bytes(), &16_000_u32.to_le_bytes(), &[2, 0, 16, 0]].concat();
    let wav = [b"RIFF\0\0\0\0WAVEfmt ", &16_u32.to_le_bytes()[..], &format, b"data", &sound.to_le_bytes()].concat();
    upload(model, &[&wav[..], &vec![7; sound as usize]].concat())
}

fn upload(model: &str, file: &[u8]) -> Vec<u8> {
    let head = format!(
        "--bnd\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\none/{model}\r\n\
         --bnd\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n"
    );
    [head.as_bytes(), file, b"\r\n--bnd--\r\n"].concat()
}

fn case(
    name: &'static str,
    path: &'static str,
    request: impl AsRef<[u8]>,
    answer: impl AsRef<[u8]>,
    said: Said,
) -> Case {
    let (usage, source, cost) = said;
    let (request, answer) = (request.as_ref().to_vec(), answer.as_ref().to_vec());
    Case { name, path, request, head: json(), answer, usage, source, cost }
}

/// Server-sent events of these documents.
fn stream(events: &[&str]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

/// Two images.
const TWO: &str = r#"[{"b64_json":"aGk="},{"b64_json":"aGk="}]"#;

/// What a transcription by tokens states.
const HEARD: &str = r#"{"type":"tokens","input_tokens":14,"output_tokens":2,"total_tokens":16,"input_token_details":{"text_tokens":4,"audio_tokens":10}}"#;

fn made(images_out: u64) -> Usage {
    only(Units { images_out, ..Units::default() })
}

fn spoken(characters: u64) -> Usage {
    only(Units { characters, ..Units::default() })
}

fn heard() -> Usage {
    Usage { input: 4, audio_in: 10, output: 2, ..Usage::default() }
}

pub fn images() -> Vec<Case> {
    images_by_tokens().into_iter().chain(counted_images()).collect()
}

pub fn sound() -> Vec<Case> {
    transcriptions().into_iter().chain(bare_transcriptions()).chain(speech()).collect()
}

fn images_by_tokens() -> Vec<Case> {
    use UsageSource::Provider;
    let tokens = r#"{"input_tokens":50,"output_tokens":272,"total_tokens":322,"input_tokens_details":{"text_tokens":10,"image_tokens":40}}"#;
    let by_tokens = Usage { input: 10, image_in: 40, image_out: 272, ..made(2) };
    let split = r#"{"input_tokens":10,"output_tokens":282,"total_tokens":292,"input_tokens_details":{"text_tokens":10,"image_tokens":0},"output_tokens_details":{"text_tokens":10,"image_tokens":272}}"#;
    let events = stream(&[
        r#"{"type":"image_generation.partial_image","b64_json":"aGk=","partial_image_index":0}"#,
        &format!(r#"{{"type":"image_generation.completed","b64_json":"aGk=","usage":{tokens}}}"#),
    ]);
    vec![
        case(
            "images that state tokens are billed by them: 5, 8 and 30 a million",
            IMAGES,
            r#"{"model":"one/gpt-image-2","prompt":"A weir.","n":2}"#,
            format!(r#"{{"created":1,"data":{TWO},"usage":{tokens}}}"#),
            (by_tokens, Provider, Some(50_000 + 320_000 + 8_160_000)),
        ),
        case(
            "text and image output are told apart: 5, 10 and 32 a million",
            IMAGES,
            r#"{"model":"one/gpt-image-1.5","prompt":"A weir."}"#,
            format!(r#"{{"created":1,"data":{TWO},"usage":{split}}}"#),
            (Usage { input: 10, output: 10, image_out: 272, ..made(2) }, Provider, Some(50_000 + 100_000 + 8_704_000)),
        ),
        Case {
            head: sse(),
            ..case(
                "a stream of one image",
                IMAGES,
                r#"{"model":"one/gpt-image-2","prompt":"A weir.","stream":true,"partial_images":1}"#,
                events,
                (Usage { units: made(1).units, ..by_tokens }, Provider, Some(8_530_000)),
            )
        },
    ]
}

fn counted_images() -> Vec<Case> {
    use UsageSource::Provider;
    vec![
        case(
            "images that state nothing are counted",
            IMAGES,
            r#"{"model":"one/grok-imagine-image","prompt":"A weir.","n":2}"#,
            format!(r#"{{"created":1,"data":{TWO}}}"#),
            (made(2), Provider, Some(40_000_000)),
        ),
        case(
            "the size and quality that were asked for have a price of their own",
            IMAGES,
            r#"{"model":"one/grok-imagine-image-2.0","prompt":"A weir.","size":"1024x1024","quality":"low"}"#,
            format!(r#"{{"created":1,"data":{TWO}}}"#),
            (made(2), Provider, Some(80_000_000)),
        ),
        case(
            "those that were delivered come first",
            IMAGES,
            r#"{"model":"one/grok-imagine-image-2.0","prompt":"A weir.","size":"1024x1024","quality":"low"}"#,
            format!(r#"{{"created":1,"size":"2048x2048","quality":"high","data":{TWO}}}"#),
            (made(2), Provider, Some(120_000_000)),
        ),
        case(
            "an image of a model without a price of images costs nobody knows what",
            IMAGES,
            r#"{"model":"one/dall-e-9","prompt":"A weir."}"#,
            format!(r#"{{"created":1,"data":{TWO}}}"#),
            (made(2), Provider, None),
        ),
        case(
            "an error bills nothing",
            IMAGES,
            r#"{"model":"one/grok-imagine-image","prompt":"A weir."}"#,
            r#"{"error":{"message":"no","type":"server_error"},"data":[{}]}"#,
            (Usage::default(), UsageSource::Unknown, None),
        ),
    ]
}

fn transcriptions() -> Vec<Case> {
    use UsageSource::Provider;
    let delta = r#"{"type":"transcript.text.delta","delta":"Water."}"#;
    let done = format!(r#"{{"type":"transcript.text.done","text":"Water.","usage":{HEARD}}}"#);
    let verbose = r#"{"task":"transcribe","language":"english","duration":8.470000267028809,"text":"Water."}"#;
    vec![
        case(
            "a transcription that states seconds",
            TRANSCRIPTIONS,
            upload("whisper-1", b"x"),
            r#"{"text":"Water.","usage":{"type":"duration","seconds":9}}"#,
            (seconds(9_000), Provider, Some(900_000)),
        ),
        case(
            "what is billed comes before how long it was",
            TRANSCRIPTIONS,
            form("whisper-1", 8_470),
            verbose.replace('}', r#","usage":{"type":"duration","seconds":9}}"#),
            (seconds(9_000), Provider, Some(900_000)),
        ),
        case("verbose", TRANSCRIPTIONS, upload("whisper-1", b"x"), verbose, (seconds(8_470), Provider, Some(847_000))),
        case(
            "one that states tokens: 2.50 and 10 a million",
            TRANSCRIPTIONS,
            form("gpt-4o-transcribe", 500),
            format!(r#"{{"text":"Water.","usage":{HEARD}}}"#),
            (heard(), Provider, Some(35_000 + 20_000)),
        ),
        Case {
            head: sse(),
            ..case(
                "a stream of them",
                TRANSCRIPTIONS,
                upload("gpt-4o-transcribe", b"x"),
                stream(&[delta, &done]),
                (heard(), Provider, Some(55_000)),
            )
        },
    ]
}

fn bare_transcriptions() -> Vec<Case> {
    use UsageSource::{Estimated, Unknown};
    vec![
        Case {
            head: text(),
            ..case(
                "plain text says nothing, and a WAV how long it is",
                TRANSCRIPTIONS,
                form("whisper-1", 1_500),
                "Water.\n",
                (seconds(1_500), Estimated, Some(150_000)),
            )
        },
        Case {
            head: text(),
            ..case(
                "any other sound is unknown, and not free",
                TRANSCRIPTIONS,
                upload("whisper-1", b"ID3\x04"),
                "Water.\n",
                (Usage::default(), Unknown, None),
            )
        },
        case(
            "a translation has no usage",
            "/v1/audio/translations",
            form("whisper-1", 2_000),
            r#"{"text":"Water."}"#,
            (seconds(2_000), Estimated, Some(200_000)),
        ),
    ]
}

fn speech() -> Vec<Case> {
    use UsageSource::{Estimated, Provider};
    let speech = stream(&[
        r#"{"type":"speech.audio.delta","audio":"AAAAAAAA"}"#,
        r#"{"type":"speech.audio.done","usage":{"input_tokens":10,"output_tokens":100,"total_tokens":110}}"#,
    ]);
    vec![
        Case {
            head: response(200, &[("content-type", "audio/mpeg")]),
            ..case(
                "speech by its characters: 15 a million",
                SPEECH,
                "{\"model\":\"one/tts-1\",\"voice\":\"alloy\",\"input\":\"W\u{e4}sser \\ud83c\\udf0a\"}",
                b"\xff\xfb\x90\x64\0\r\n\n",
                (spoken(8), Estimated, Some(120_000)),
            )
        },
        Case {
            head: sse(),
            ..case(
                "speech that states tokens: 0.60 and 12 a million",
                SPEECH,
                r#"{"model":"one/gpt-4o-mini-tts","voice":"alloy","input":"Water.","stream_format":"sse"}"#,
                speech,
                (Usage { input: 10, audio_out: 100, ..Usage::default() }, Provider, Some(6_000 + 1_200_000)),
            )
        },
        Case {
            head: response(200, &[("content-type", "audio/mpeg")]),
            ..case(
                "speech of a model that is billed by tokens which nobody states",
                SPEECH,
                r#"{"model":"one/gpt-4o-mini-tts","voice":"alloy","input":"Water."}"#,
                b"\xff\xfb",
                (spoken(6), Estimated, None),
            )
        },
    ]
}

pub fn others() -> Vec<Case> {
    use UsageSource::Provider;
    let results = r#""results":[{"index":0,"relevance_score":0.5}]"#;
    let ask = |model: &str| format!(r#"{{"model":"one/{model}","query":"water","documents":["a","b"]}}"#);
    vec![
        case(
            "Cohere reranks by search units: 0.002 each",
            RERANK,
            ask("rerank-v3.5"),
            format!(
                r#"{{"id":"r",{results},"meta":{{"api_version":{{"version":"2"}},"billed_units":{{"search_units":2}}}}}}"#
            ),
            (only(Units { queries: 2, ..Units::default() }), Provider, Some(4_000_000)),
        ),
        case(
            "Jina and Voyage by tokens, of which they state the total",
            RERANK,
            ask("text-embedding-3-small"),
            format!(r#"{{"model":"x",{results},"usage":{{"total_tokens":50}}}}"#),
            (usage(50, 0), Provider, Some(1_000)),
        ),
        case(
            "embeddings",
            "/v1/embeddings",
            r#"{"model":"one/text-embedding-3-small","input":"Water."}"#,
            r#"{"object":"list","data":[{"embedding":[0.5]}],"usage":{"prompt_tokens":50,"total_tokens":50}}"#,
            (usage(50, 0), Provider, Some(1_000)),
        ),
    ]
}
