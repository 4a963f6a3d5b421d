//! Each provider against its documentation: bytes out, bytes in.

use proptest::prelude::*;

use super::*;
use crate::base::base64;
use crate::base::json::Tree;
use crate::llm::Usage;

/// A request as `model` of a provider is asked for it, and the names of what was left out.
fn asked(dialect: Dialect, model: &str, body: &str) -> Result<(String, String), Refusal> {
    let mut dropped = Dropped::default();
    let tree = Tree::read(body.as_bytes()).unwrap();
    let embed = read(&tree, &mut dropped)?;
    let mut out = Vec::new();
    provider(dialect, model).unwrap().write(&embed, model, &mut out, &mut dropped)?;
    Ok((String::from_utf8(out).unwrap(), dropped.to_string()))
}

/// Of a refusal, the field that it names.
fn refused(dialect: Dialect, model: &str, body: &str) -> Option<String> {
    let refusal = asked(dialect, model, body).unwrap_err();
    assert_eq!(refusal.code, Code::UnsupportedValue);
    refusal.param.map(Into::into)
}

const TWO: &str = r#"{"model":"x","input":["one","t\"wo"]}"#;
const ALL: &str = r#"{"model":"x","input":[{"content":"one","task_type":"RETRIEVAL_QUERY"},{"content":"two","title":"T",
    "task_type":"RETRIEVAL_QUERY","lang":"de"}],"dimensions":256,"auto_truncate":true,"user":"u","encoding_format":"base64","x":1}"#;

/// Who is asked for which model, what a client says, what leaves, and what was left out.
const ASKED: &[(Dialect, &str, &str, &str, &str)] = &[
    (
        Dialect::Gemini,
        "gemini-embedding-001",
        TWO,
        r#"{"requests":[{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"one"}]}},{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"t\"wo"}]}}]}"#,
        "",
    ),
    (
        Dialect::Gemini,
        "g",
        ALL,
        r#"{"requests":[{"model":"models/g","content":{"parts":[{"text":"one"}]},"taskType":"RETRIEVAL_QUERY","outputDimensionality":256},{"model":"models/g","content":{"parts":[{"text":"two"}]},"taskType":"RETRIEVAL_QUERY","title":"T","outputDimensionality":256}]}"#,
        "input[].lang, x, user, auto_truncate",
    ),
    (
        Dialect::Vertex,
        "text-embedding-004",
        r#"{"model":"text-embedding-004","input":{"content":"Machine learning fundamentals","task_type":"RETRIEVAL_DOCUMENT","title":"ML Guide"}}"#,
        r#"{"instances":[{"content":"Machine learning fundamentals","task_type":"RETRIEVAL_DOCUMENT","title":"ML Guide"}],"parameters":{}}"#,
        "",
    ),
    (
        Dialect::Vertex,
        "text-embedding-004",
        r#"{"model":"text-embedding-004","input":"Text for dimension testing","dimensions":256}"#,
        r#"{"instances":[{"content":"Text for dimension testing"}],"parameters":{"outputDimensionality":256}}"#,
        "",
    ),
    (
        Dialect::Vertex,
        "v",
        r#"{"model":"x","input":["a"],"task_type":"CLUSTERING","title":"T","auto_truncate":false}"#,
        r#"{"instances":[{"content":"a","task_type":"CLUSTERING","title":"T"}],"parameters":{"autoTruncate":false}}"#,
        "",
    ),
    (
        Dialect::Bedrock,
        "amazon.titan-embed-text-v2:0",
        r#"{"model":"x","input":["a"],"dimensions":512,"task_type":"CLUSTERING","title":"T","user":"u"}"#,
        r#"{"inputText":"a","dimensions":512}"#,
        "user, task_type, input[].title",
    ),
    (Dialect::Bedrock, "amazon.titan-embed-text-v1", r#"{"input":"a"}"#, r#"{"inputText":"a"}"#, ""),
    (
        Dialect::Bedrock,
        "cohere.embed-english-v3",
        r#"{"input":["a","b"],"auto_truncate":true}"#,
        r#"{"texts":["a","b"],"input_type":"search_document","embedding_types":["float"],"truncate":"END"}"#,
        "",
    ),
    (
        Dialect::Bedrock,
        "us.cohere.embed-v4:0",
        ALL,
        r#"{"texts":["one","two"],"input_type":"search_query","embedding_types":["float"],"output_dimension":256,"truncate":"RIGHT"}"#,
        "input[].lang, x, user, input[].title",
    ),
    (
        Dialect::Cohere,
        "embed-v4.0",
        r#"{"input":"a","input_type":"classification","dimensions":512,"auto_truncate":false}"#,
        r#"{"model":"embed-v4.0","texts":["a"],"input_type":"classification","embedding_types":["float"],"output_dimension":512,"truncate":"NONE"}"#,
        "",
    ),
    (
        Dialect::Cohere,
        "embed-v4.0",
        r#"{"input":"a","task_type":"FACT_VERIFICATION"}"#,
        r#"{"model":"embed-v4.0","texts":["a"],"input_type":"search_document","embedding_types":["float"]}"#,
        "task_type",
    ),
    (
        Dialect::Ollama,
        "nomic-embed-text",
        ALL,
        r#"{"model":"nomic-embed-text","input":["one","two"],"truncate":true,"dimensions":256}"#,
        "input[].lang, x, user, input[].task_type, input[].title",
    ),
];

#[test]
fn each_provider_is_asked_in_its_own_words() {
    for &(dialect, model, body, expected, dropped) in ASKED {
        let (out, left_out) = asked(dialect, model, body).unwrap();
        assert_eq!((&*out, &*left_out), (expected, dropped), "{dialect} {model}");
    }
}

#[test]
fn what_a_vector_is_useless_without_is_refused() {
    const TITAN: &str = "amazon.titan-embed-text-v2:0";
    for (dialect, model, body, param) in [
        (Dialect::Bedrock, TITAN, TWO, "input"),
        (Dialect::Bedrock, "amazon.titan-embed-text-v1", r#"{"input":"a","dimensions":256}"#, "dimensions"),
        (Dialect::Bedrock, "cohere.embed-english-v3", r#"{"input":"a","dimensions":256}"#, "dimensions"),
        (Dialect::Cohere, "embed-english-v3.0", r#"{"input":"a","dimensions":256}"#, "dimensions"),
        (
            Dialect::Cohere,
            "embed-v4.0",
            r#"{"input":[{"content":"a","task_type":"CLUSTERING"},"b"]}"#,
            "input[].task_type",
        ),
    ] {
        assert_eq!(refused(dialect, model, body).as_deref(), Some(param), "{dialect} {model} {body}");
    }
    for &(dialect, part, _) in PROVIDERS {
        for (body, param) in [
            (r#"{"input":[1,2]}"#, "input"),
            (r#"{"input":[[1,2]]}"#, "input"),
            (r#"{"input":[]}"#, "input"),
            (r#"{"input":[[]]}"#, "input"),
            (r#"{"input":[1,-2]}"#, "input"),
            (r#"{"input":{"text":"a"}}"#, "input"),
            (r#"{"input":[null]}"#, "input"),
            (r#"{"model":"x"}"#, "input"),
            (r#"{"input":"a","dimensions":"256"}"#, "dimensions"),
            (r#"{"input":"a","encoding_format":"hex"}"#, "encoding_format"),
            (r#"{"input":"a","task_type":"retrieval"}"#, "task_type"),
        ] {
            assert_eq!(refused(dialect, part, body).as_deref(), Some(param), "{dialect} {body}");
        }
    }
}

/// A provider's answer, written for a client.
fn answered(dialect: Dialect, model: &str, body: &str, base64: bool) -> Result<(String, Option<Usage>), Unreadable> {
    let embeddings = provider(dialect, model).unwrap().read(body.as_bytes())?;
    let mut out = Vec::new();
    write(&embeddings, "asked", base64, &mut out)?;
    Ok((String::from_utf8(out).unwrap(), embeddings.usage))
}

#[test]
fn each_providers_answer_is_one_of_openais() {
    for (dialect, model, body, tokens) in [
        (
            Dialect::Gemini,
            "g",
            r#"{"embeddings":[{"values":[0.25,-1e-3]},{"values":[7.5,8.0],"x":1}],"usageMetadata":{"promptTokenCount":7,"totalTokenCount":7}}"#,
            Some(7),
        ),
        (Dialect::Gemini, "g", r#"{"embeddings":[{"values":[0.25,-1e-3]},{"values":[7.5,8.0]}]}"#, None),
        (
            Dialect::Vertex,
            "v",
            r#"{"predictions":[{"embeddings":{"values":[0.25,-1e-3],"statistics":{"token_count":3,"truncated":false}}},
                {"embeddings":{"statistics":{"token_count":4.0},"values":[7.5,8.0]}}],"metadata":{"billableCharacterCount":1}}"#,
            Some(7),
        ),
        (
            Dialect::Vertex,
            "v",
            r#"{"predictions":[{"embeddings":{"values":[0.25,-1e-3],"statistics":{"token_count":3}}},{"embeddings":{"values":[7.5,8.0]}}]}"#,
            None,
        ),
        (
            Dialect::Bedrock,
            "cohere.embed-english-v3",
            r#"{"embeddings":[[0.25,-1e-3],[7.5,8.0]],"id":"i","response_type":"embeddings_floats","texts":["a","b"]}"#,
            None,
        ),
        (Dialect::Bedrock, "cohere.embed-v4:0", r#"{"embeddings":{"float":[[0.25,-1e-3],[7.5,8.0]]},"id":"i"}"#, None),
        (
            Dialect::Cohere,
            "embed-v4.0",
            r#"{"id":"i","embeddings":{"float":[[0.25,-1e-3],[7.5,8.0]]},"texts":["a","b"],"meta":{"api_version":{"version":"2"},"billed_units":{"input_tokens":7}}}"#,
            Some(7),
        ),
        (
            Dialect::Ollama,
            "o",
            r#"{"model":"o","embeddings":[[0.25,-1e-3],[7.5,8.0]],"total_duration":1,"prompt_eval_count":7}"#,
            Some(7),
        ),
    ] {
        let (out, usage) = answered(dialect, model, body, false).unwrap();
        assert_eq!(usage.map(|usage| usage.input), tokens, "{dialect} {body}");
        let tokens = tokens.unwrap_or(0);
        let expected = format!(
            r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":[0.25,-1e-3]}},{{"object":"embedding","index":1,"embedding":[7.5,8.0]}}],"model":"asked","usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#
        );
        assert_eq!(out, expected, "{dialect}");
    }
    let titan = r#"{"embedding":[0.25, 0.5],"embeddingsByType":{"float":[0.25,0.5]},"inputTextTokenCount":5}"#;
    let (out, usage) = answered(Dialect::Bedrock, "amazon.titan-embed-text-v2:0", titan, true).unwrap();
    // 0.25 is 0x3e800000 and 0.5 is 0x3f000000, the lowest byte first.
    assert!(out.contains(r#""embedding":"AACAPgAAAD8=""#), "{out}");
    assert_eq!(usage.map(|usage| usage.input), Some(5));
}

#[test]
fn an_answer_of_another_kind_is_not_read() {
    for &(dialect, part, provider) in PROVIDERS {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"embeddings":{}}"#,
            r#"{"embeddings":["AAAA"],"predictions":[{}],"embedding":"AAAA"}"#,
            r#"{"embeddings":[["a"]],"predictions":[{"embeddings":{"values":["a"]}}],"embedding":[null]}"#,
        ] {
            assert!(provider.read(body.as_bytes()).is_err(), "{dialect} {part} {body}");
        }
    }
    // As JSON they are numbers, and as such they go on; in 32 bits there is no such number of them.
    let odd = r#"{"embedding":[1,[2]]}"#;
    assert!(answered(Dialect::Bedrock, "titan-embed-text", odd, false).is_err());
}

proptest! {
    #[test]
    fn base64_is_the_numbers_to_the_bit(numbers in prop::collection::vec(any::<f32>().prop_filter("a number", |x| x.is_finite()), 1..40)) {
        let text: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        let body = format!(r#"{{"embedding":[{}]}}"#, text.join(" , "));
        let (out, _) = answered(Dialect::Bedrock, "titan-embed-text", &body, true).unwrap();
        let out: serde_json::Value = serde_json::from_str(&out).unwrap();
        let bytes = base64::decode(out["data"][0]["embedding"].as_str().unwrap().as_bytes()).unwrap();
        let read: Vec<u32> = bytes.chunks(4).map(|four| u32::from_le_bytes(four.try_into().unwrap())).collect();
        prop_assert_eq!(read, numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..48),
        json in r#"\{"(embeddings?|predictions|input)":[\[\]{}",:0-9.eE a-z-]{0,40}\}"#,
    ) {
        for body in [&bytes[..], json.as_bytes()] {
            for &(.., provider) in PROVIDERS {
                if let Ok(embeddings) = provider.read(body) {
                    let _ = write(&embeddings, "m", true, &mut Vec::new());
                }
            }
            let _ = Tree::read(body).map(|tree| read(&tree, &mut Dropped::default()).is_ok());
        }
    }
}
