//! A client's own body for Vertex or Bedrock: what their envelopes want is edited in place, and every other
//! byte stays as it was sent.

use bytes::Bytes;

use super::betas;
use super::request_write::{BEDROCK, VERTEX};
use crate::base::json::{self, JsonError, Span, Tree, write_array};
use crate::llm::{Code, Dropped, Refusal};
use crate::wire::codec::Envelope;
use crate::wire::edit::Edits;

/// Puts a body of this format into an envelope. `betas` is the call's `anthropic-beta` header.
///
/// `model` stands in the path of both. Bedrock's path also says whether the answer is streamed, and it reads
/// no header: betas stand in its body as `anthropic_beta`, behind those that the body names already. Vertex
/// reads the header as Anthropic does (the official SDK's clients for both, 2.12, do the same). What Bedrock does
/// not know of them is named.
///
/// # Errors
/// 400 for a body that is no object, or that says one of these fields twice.
pub(in crate::wire) fn envelop(
    to: Envelope,
    body: Bytes,
    betas: &str,
    dropped: &mut Dropped,
) -> Result<Bytes, Refusal> {
    let version = match to {
        Envelope::Vertex => VERTEX,
        Envelope::Invoke => BEDROCK,
        Envelope::Plain | Envelope::Deployment => return Ok(body),
    };
    let members = json::object(&body).map_err(refuse)?;
    let is_invoke = to == Envelope::Invoke;
    let whole = Span { start: 0, end: body.len() };
    let mut edits = Edits::new();
    for key in ["model", "stream"] {
        let Some(found) = json::unique(&members, key).map_err(refuse)? else { continue };
        if key == "model" || is_invoke {
            let at = members.iter().position(|member| member == found).unwrap_or(members.len());
            edits.remove_member(whole, &members, at);
        }
    }
    let mut put = |key: &'static str, value: Vec<u8>| {
        match json::unique(&members, key).map_err(refuse)? {
            Some(member) => edits.replace(member.value, value),
            None => edits.insert_member(whole, &members, key, value),
        }
        Ok::<_, Refusal>(())
    };
    put("anthropic_version", format!("\"{version}\"").into_bytes())?;
    let named = json::unique(&members, "anthropic_beta").map_err(refuse)?.map(|named| named.value.slice(&body));
    if is_invoke && (named.is_some() || !betas.trim().is_empty()) {
        put("anthropic_beta", all_betas(named, betas, dropped))?;
    }
    Ok(edits.apply(&body).into())
}

fn refuse(error: JsonError) -> Refusal {
    Refusal::new(Code::InvalidJson, format!("The request body cannot be put into the provider's form: {error}."))
}

/// Betas are named once each, whatever headers and bodies say.
fn all_betas(named: Option<&[u8]>, header: &str, dropped: &mut Dropped) -> Vec<u8> {
    let tree = named.and_then(|named| Tree::read(named).ok());
    let in_body = tree.iter().flat_map(|tree| tree.root().elements()).filter_map(|beta| beta.text());
    let all = betas::known(Envelope::Invoke, in_body.chain(betas::split(header)), dropped);
    let mut out = Vec::new();
    write_array(&mut out, |a| all.iter().for_each(|beta| a.text(beta)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enveloped(body: &str, to: Envelope, betas: &str) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        String::from_utf8(envelop(to, body, betas, &mut Dropped::default()).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn every_other_byte_stays() {
        let body = r#"{ "model":"m", "max_tokens" : 1.0,"x":[ ],"stream":true }"#;
        assert_eq!(enveloped(body, Envelope::Plain, "b"), body);
        assert_eq!(
            enveloped(body, Envelope::Vertex, "b"),
            r#"{ "max_tokens" : 1.0,"x":[ ],"stream":true,"anthropic_version":"vertex-2023-10-16" }"#
        );
        assert_eq!(
            enveloped(body, Envelope::Invoke, ""),
            r#"{ "max_tokens" : 1.0,"x":[ ],"anthropic_version":"bedrock-2023-05-31" }"#
        );
    }

    #[test]
    fn betas_of_header_and_body_are_named_once() {
        let body = r#"{"anthropic_version":"2023-06-01","anthropic_beta":["effort-1"],"model":"m"}"#;
        assert_eq!(
            enveloped(body, Envelope::Invoke, "effort-1, oauth-2025-04-20, context-1m-2"),
            r#"{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["effort-1","context-1m-2"]}"#
        );
        assert_eq!(
            enveloped(r#"{"model":"m"}"#, Envelope::Invoke, "effort-3"),
            r#"{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["effort-3"]}"#
        );
    }

    #[test]
    fn a_field_that_stands_twice_is_refused() {
        for body in [r#"{"model":"a","model":"b"}"#, r#"{"stream":true,"stream":false}"#, "[]", ""] {
            let body = Bytes::copy_from_slice(body.as_bytes());
            assert!(envelop(Envelope::Invoke, body, "", &mut Dropped::default()).is_err());
        }
    }
}
