//! Both shapes against their documentation: bytes out, bytes in, from the one to the other.

use proptest::prelude::*;

use super::*;

fn request(from: Dialect, to: Dialect, body: &str) -> Result<(String, String), Refusal> {
    let (mut dropped, mut out) = (Dropped::default(), Vec::new());
    let tree = Tree::read(body.as_bytes()).unwrap();
    let rerank = shape(from).unwrap().read_request(&tree, &mut dropped)?;
    shape(to).unwrap().write_request(&rerank, "m", &mut out, &mut dropped);
    Ok((String::from_utf8(out).unwrap(), dropped.to_string()))
}

fn reply(from: Dialect, to: Dialect, body: &str) -> Result<(String, Option<Usage>), Unreadable> {
    let tree = Tree::read(body.as_bytes()).unwrap();
    let ranking = shape(from).unwrap().read_reply(&tree)?;
    let (mut out, to_whom) = (Vec::new(), Writing { id: "w".into(), model: "asked".into(), ..Writing::default() });
    shape(to).unwrap().write_reply(&ranking, &to_whom, &mut out);
    Ok((String::from_utf8(out).unwrap(), ranking.usage))
}

const PLAIN: &str = r#"{"model":"x","query":"q","documents":["a",{"text":"b","title":"t"}],"top_n":1,
    "return_documents":true,"max_tokens_per_doc":64,"priority":2,"rank_fields":["text"]}"#;

#[test]
fn a_request_is_said_in_the_other_shape() {
    for (from, to, body, expected, dropped) in [
        (
            Dialect::OpenAi,
            Dialect::Cohere,
            PLAIN,
            r#"{"model":"m","query":"q","documents":["a","b"],"top_n":1,"max_tokens_per_doc":64,"priority":2}"#,
            "documents[].title, return_documents, rank_fields",
        ),
        (
            Dialect::OpenAi,
            Dialect::Cohere,
            r#"{"model":"x","query":"q","documents":["a"],"return_documents":false,"top_n":null}"#,
            r#"{"model":"m","query":"q","documents":["a"]}"#,
            "",
        ),
        (
            Dialect::Cohere,
            Dialect::OpenAi,
            r#"{"model":"x","query":"q","documents":["a"],"top_n":3,"max_tokens_per_doc":64,"priority":0,"return_documents":false}"#,
            r#"{"model":"m","query":"q","documents":["a"],"top_n":3,"return_documents":false}"#,
            "return_documents, max_tokens_per_doc, priority",
        ),
    ] {
        let (out, left_out) = request(from, to, body).unwrap();
        assert_eq!((&*out, &*left_out), (expected, dropped));
    }
    for dialect in [Dialect::OpenAi, Dialect::Cohere] {
        for (body, param) in [
            (r#"{"documents":["a"]}"#, "query"),
            (r#"{"query":1,"documents":["a"]}"#, "query"),
            (r#"{"query":"q"}"#, "documents"),
            (r#"{"query":"q","documents":[]}"#, "documents"),
            (r#"{"query":"q","documents":[{"title":"t"}]}"#, "documents"),
            (r#"{"query":"q","documents":["a"],"top_n":-1}"#, "top_n"),
        ] {
            let refusal = request(dialect, Dialect::Cohere, body).unwrap_err();
            assert_eq!((refusal.code, refusal.param.as_deref()), (Code::UnsupportedValue, Some(param)), "{body}");
        }
    }
}

#[test]
fn an_answer_is_said_in_the_other_shape() {
    let cohere = r#"{"id":"i","results":[{"index":3,"relevance_score":0.99},{"index":0,"relevance_score":1e-7}],
        "meta":{"api_version":{"version":"2","is_experimental":false},"billed_units":{"search_units":1}}}"#;
    let (out, usage) = reply(Dialect::Cohere, Dialect::OpenAi, cohere).unwrap();
    assert_eq!(
        out,
        r#"{"id":"i","model":"asked","results":[{"index":3,"relevance_score":0.99},{"index":0,"relevance_score":1e-7}],"meta":{"api_version":{"version":"1"},"billed_units":{"search_units":1}}}"#
    );
    assert_eq!(usage.map(|usage| (usage.units.queries, usage.total_input())), Some((1, 0)));
    let jina = r#"{"model":"jina","usage":{"total_tokens":38},"object":"list",
        "results":[{"index":1,"relevance_score":0.5,"document":{"text":"b"}}]}"#;
    let (out, usage) = reply(Dialect::OpenAi, Dialect::Cohere, jina).unwrap();
    assert_eq!(
        out,
        r#"{"id":"w","results":[{"index":1,"relevance_score":0.5}],"meta":{"api_version":{"version":"2"}}}"#
    );
    assert_eq!(usage.map(|usage| (usage.units.queries, usage.total_input())), Some((0, 38)));
    let (out, _) = reply(Dialect::OpenAi, Dialect::OpenAi, jina).unwrap();
    assert!(out.ends_with(r#""meta":{"api_version":{"version":"1"}},"usage":{"total_tokens":38}}"#), "{out}");
    for body in ["{}", r#"{"results":[{"index":0}]}"#, r#"{"results":[{"index":-1,"relevance_score":1}]}"#] {
        assert!(reply(Dialect::Cohere, Dialect::OpenAi, body).is_err(), "{body}");
    }
}

proptest! {
    #[test]
    fn no_document_makes_a_reader_panic(
        json in r#"\{"(results|documents|query)":[\[\]{}",:0-9.eE a-z-]{0,40}\}"#,
    ) {
        let Ok(tree) = Tree::read(json.as_bytes()) else { return Ok(()) };
        for dialect in [Dialect::OpenAi, Dialect::Cohere] {
            let shape = shape(dialect).unwrap();
            let _ = (shape.read_request(&tree, &mut Dropped::default()), shape.read_reply(&tree));
        }
    }
}
