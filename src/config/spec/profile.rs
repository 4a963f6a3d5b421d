//! LLMProfile: what holds for every call.

use std::collections::HashSet;

use super::super::read::{Fields, Reader};
use super::super::value;
use super::{or, unique};
use crate::policy::{Bodies, ResponseHeaders, Unpriced};

/// What holds for every call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LlmProfile {
    /// None for the default of the command.
    pub discovery: Option<Discovery>,
    pub bodies: Bodies,
    pub unpriced: Unpriced,
    pub response_headers: ResponseHeaders,
}

/// Whether a provider whose key is in the environment becomes a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discovery {
    Enabled,
    #[default]
    Disabled,
}

#[derive(Clone, Copy)]
enum Header {
    RequestId,
    Backend,
    Model,
    Cost,
    Tokens,
}

/// The largest request body: the gRPC message that carries it is limited to 65 MiB at the start.
const MAX_REQUEST: u64 = 64 << 20;

const PROFILE: Fields = Fields {
    known: &["discovery", "bodies", "unpriced", "responseHeaders"],
    later: &["selector", "targetRefs", "identity", "failurePolicy", "telemetry", "explain"],
};
const DISCOVERY: Fields = Fields { known: &["environment"], later: &[] };
const BODIES: Fields = Fields { known: &["maxRequest", "maxResponseHold", "maxEvent", "maxCapture"], later: &[] };
const HEADERS: &[(&str, Option<Header>)] = &[
    ("RequestId", Some(Header::RequestId)),
    ("Backend", Some(Header::Backend)),
    ("Model", Some(Header::Model)),
    ("Cost", Some(Header::Cost)),
    ("Tokens", Some(Header::Tokens)),
    ("Cache", None),
    ("RateLimit", None),
    ("Config", None),
];

// === impl LlmProfile ===

impl LlmProfile {
    pub(in super::super) fn read(reader: &Reader<'_>) -> Option<LlmProfile> {
        let object = reader.object(&PROFILE)?;
        let environment = [("Enabled", Some(Discovery::Enabled)), ("Disabled", Some(Discovery::Disabled))];
        let unpriced = [("Allow", Some(Unpriced::Allow)), ("Deny", Some(Unpriced::Deny))];
        Some(LlmProfile {
            discovery: object.get("discovery").and_then(|discovery| {
                let object = discovery.object(&DISCOVERY)?;
                object.get("environment").and_then(|word| word.word(&environment))
            }),
            bodies: or(&object, "bodies", Bodies::default(), |bodies| read_bodies(&bodies)),
            unpriced: or(&object, "unpriced", Unpriced::default(), |word| word.word(&unpriced)),
            response_headers: or(&object, "responseHeaders", ResponseHeaders::default(), |list| read_headers(&list)),
        })
    }
}

fn read_bodies(reader: &Reader<'_>) -> Option<Bodies> {
    let object = reader.object(&BODIES)?;
    let default = Bodies::default();
    let size = |name, default| or(&object, name, default, |size| size.whole(value::size, 1, u64::MAX)?.try_into().ok());
    let max_request = size("maxRequest", default.max_request);
    if let Some(field) = object.get("maxRequest")
        && u64::try_from(max_request).is_ok_and(|size| size > MAX_REQUEST)
    {
        field.error("is above 64Mi: a held body is one gRPC message between proxy and Weir, and those end at 65 MiB");
    }
    Some(Bodies {
        max_request,
        max_response_hold: size("maxResponseHold", default.max_response_hold),
        max_event: size("maxEvent", default.max_event),
        max_capture: size("maxCapture", default.max_capture),
    })
}

/// An empty list is a wish, too: no header at all.
fn read_headers(reader: &Reader<'_>) -> Option<ResponseHeaders> {
    let mut headers = ResponseHeaders { request_id: false, backend: false, model: false, cost: false, tokens: false };
    let mut seen = HashSet::new();
    reader.list_or_empty(|item| {
        unique(&item, &mut seen, "header");
        match item.word(HEADERS)? {
            Header::RequestId => headers.request_id = true,
            Header::Backend => headers.backend = true,
            Header::Model => headers.model = true,
            Header::Cost => headers.cost = true,
            Header::Tokens => headers.tokens = true,
        }
        Some(())
    })?;
    Some(headers)
}
