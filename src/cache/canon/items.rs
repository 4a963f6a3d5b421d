//! The inputs of a call for embeddings, each by itself: what its vector depends on is the input and what is said of
//! all of them, and neither its place among them nor its neighbours.

use super::hash::Canon;
use super::{Around, json};
use crate::base::json::tree::Value;
use crate::base::json::{Kind, Tree};
use crate::cache::Digest;
use crate::wire::embed::items::is_tokens;

/// What the hash is of. The number changes with what is hashed, and all that was kept is not found any more.
const CALL: &[u8] = b"weir cache vectors 2";
const INPUT: &[u8] = b"weir cache vector 1";

/// Members of a body that say nothing of a vector, or are hashed by themselves.
const NO_PART: &[&str] = &["input", "model", ENCODING];

/// In which form vectors are answered: a number in the one has not always the same digits in the other, so that each
/// is kept for itself.
const ENCODING: &str = "encoding_format";

/// The digest of each input, in their order; `rest` is the body without them. None where one of them is no JSON.
pub fn of_inputs<'b>(
    around: Around<'_>,
    rest: Value<'_, '_>,
    inputs: impl Iterator<Item = &'b [u8]>,
) -> Option<Vec<Digest>> {
    let mut canon = Canon::new(CALL);
    around.put(&mut canon);
    // Numbers are what is answered where nothing else is asked for.
    let is_usual = |encoding: &Value<'_, '_>| encoding.is_null() || encoding.text().as_deref() == Some("float");
    canon.maybe(rest.get(ENCODING).filter(|encoding| !is_usual(encoding)), |canon, value| json::put(value, canon));
    json::put_members(rest, &mut canon, |key| !NO_PART.contains(&key));
    let call = canon.finish();
    inputs.map(|input| of_input(&call, input)).collect()
}

fn of_input(call: &[u8; 32], input: &[u8]) -> Option<Digest> {
    let mut canon = Canon::new(INPUT);
    canon.bytes(call);
    // There may be very many numbers, and they have one form but for the space between them.
    if is_tokens(input) {
        let digits: Vec<u8> = input.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        canon.tag(1);
        canon.bytes(&digits);
        return Some(Digest(canon.finish()));
    }
    let tree = Tree::read(input).ok().filter(|tree| matches!(tree.root().kind(), Kind::String | Kind::Object))?;
    canon.tag(2);
    json::put(tree.root(), &mut canon);
    Some(Digest(canon.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::embed::items::Inputs;

    const AROUND: Around<'static> = Around {
        backend: "openai",
        authority: "api.openai.com",
        prefix: "/v1",
        model: "small",
        headers: &[],
        query: "",
    };

    fn digests(body: &str, around: Around<'_>) -> Vec<Digest> {
        let inputs = Inputs::read(body.as_bytes()).unwrap();
        let rest = inputs.only(body.as_bytes(), &[]);
        let rest = Tree::read(&rest).unwrap();
        of_inputs(around, rest.root(), inputs.each.iter().map(|span| span.slice(body.as_bytes()))).unwrap()
    }

    fn one(body: &str) -> Digest {
        let all = digests(body, AROUND);
        assert_eq!(all.len(), 1, "{body}");
        all[0]
    }

    #[test]
    fn neither_its_place_nor_its_neighbours_make_another_input() {
        let a = one(r#"{"model":"m","input":"a","user":"u","dimensions":8}"#);
        for (body, place) in [
            (r#"{"dimensions":8,"user":"u","input":["a"],"model":"other"}"#, 0),
            (r#"{"input":["b","\u0061"],"user":"u","dimensions":8,"encoding_format":"float"}"#, 1),
            (r#"{ "input" : [ "b", [1], "a" ], "user": "u", "dimensions": 8, "encoding_format": null }"#, 2),
        ] {
            assert_eq!(digests(body, AROUND)[place], a, "{body}");
        }
        let tokens = one(r#"{"input":[1, 23]}"#);
        assert_eq!(digests(r#"{"input":[[9],[1,23]]}"#, AROUND)[1], tokens);
        let object = one(r#"{"input":[{"content":"a","task_type":"CLUSTERING"}]}"#);
        assert_eq!(object, one(r#"{"input":[{"task_type":"CLUSTERING", "content":"\u0061"}]}"#));
    }

    #[test]
    fn whatever_changes_a_vector_makes_another_input() {
        let mut seen = vec![one(r#"{"input":"a"}"#)];
        let around = |around: Around<'_>| digests(r#"{"input":"a"}"#, around)[0];
        let others = [
            one(r#"{"input":"a "}"#),
            one(r#"{"input":"A"}"#),
            one(r#"{"input":""}"#),
            one(r#"{"input":[1,2]}"#),
            one(r#"{"input":[12]}"#),
            one(r#"{"input":"[12]"}"#),
            one(r#"{"input":[{"content":"a"}]}"#),
            one(r#"{"input":"\ud800"}"#),
            one(r#"{"input":"\ud801"}"#),
            one(r#"{"input":"a","dimensions":8}"#),
            one(r#"{"input":"a","dimensions":9}"#),
            one(r#"{"input":"a","encoding_format":"base64"}"#),
            one(r#"{"input":"a","encoding_format":7}"#),
            one(r#"{"input":"a","task_type":"CLUSTERING"}"#),
            one(r#"{"input":"a","user":"u"}"#),
            one(r#"{"input":"a","unknown":"u"}"#),
            around(Around { backend: "azure", ..AROUND }),
            around(Around { authority: "eu.api.openai.com", ..AROUND }),
            around(Around { prefix: "/v2", ..AROUND }),
            around(Around { model: "large", ..AROUND }),
            around(Around { headers: &[("openai-beta", "x")], ..AROUND }),
            around(Around { query: "api-version=1", ..AROUND }),
        ];
        for (n, other) in others.into_iter().enumerate() {
            assert!(!seen.contains(&other), "{n}");
            seen.push(other);
        }
    }
}
