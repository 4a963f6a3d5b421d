//! LLMProfile: what holds for every call, or for those of a namespace.

use std::collections::HashSet;

use super::super::read::{Object, Reader};
use super::super::shape::{Fields, Keyed, Most, Rule, SIZE, Shape, list, may, need};
use super::super::text;
use super::super::value;
use super::identity::{IDENTITY, IdentitySpec};
use super::scope::{SELECTOR, labels};
use super::{Located, or, unique};
use crate::policy::{Explain, ResponseHeaders, Unpriced};

/// What holds for every call. What is not said is root's, and in root the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LlmProfile {
    /// None for the default of the command.
    pub discovery: Option<Discovery>,
    pub identity: IdentitySpec,
    pub failure_policy: Option<Located<FailurePolicy>>,
    pub bodies: BodiesSpec,
    pub unpriced: Option<Unpriced>,
    pub response_headers: Option<ResponseHeaders>,
    pub telemetry: TelemetrySpec,
    pub explain: Option<Explain>,
}

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodiesSpec {
    pub max_request: Option<usize>,
    pub max_response_hold: Option<usize>,
    pub max_event: Option<usize>,
    pub max_capture: Option<usize>,
}

/// What is told to whom, of which nothing is built yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TelemetrySpec {
    /// It says where traces go.
    pub otlp: bool,
    /// It says what metrics are told apart by.
    pub metric_labels: bool,
    pub capture: Option<Capture>,
}

/// Whether prompts and answers are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    None,
    Full,
}

/// Whether a provider whose key is in the environment becomes a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discovery {
    Enabled,
    #[default]
    Disabled,
}

/// What the proxy does with a call while Weir is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// Refuses it.
    #[default]
    Fail,
    /// Lets it pass as it came.
    Ignore,
}

#[derive(Clone, Copy)]
enum Header {
    RequestId,
    Cache,
    Backend,
    Model,
    Cost,
    Tokens,
    RateLimit,
}

/// The largest request body: the gRPC message that carries it is limited to 65 MiB at the start.
const MAX_REQUEST: u64 = 64 << 20;

pub(in super::super) const PROFILE: Fields = Fields {
    rows: &[
        may("selector", Shape::Object(&SELECTOR), "Which workloads it is about, by their labels."),
        may("targetRefs", list(&Shape::Object(&TARGET), 16), "Which proxies it is about."),
        may("discovery", Shape::Object(&DISCOVERY), "What becomes a backend by itself."),
        may("identity", Shape::Object(&IDENTITY), "How callers are told apart."),
        may("bodies", Shape::Object(&BODIES), "How many bytes are held."),
        may(
            "failurePolicy",
            Shape::Word(&FAILURE),
            "What the proxy does while Weir is gone: Fail refuses, Ignore lets pass as it came.",
        ),
        may("unpriced", Shape::Word(&UNPRICED), "What happens to a call whose cost cannot be known."),
        may(
            "responseHeaders",
            Shape::List { item: &Shape::Word(&HEADERS), least: 0, most: Most::Stored(16), keyed: Keyed::Set },
            "What Weir says of an answer in its headers; an empty list says nothing.",
        ),
        may("telemetry", Shape::Object(&TELEMETRY), "What is told to whom."),
        may("explain", Shape::Word(&EXPLAIN), "Whether a caller may ask for reasons with `x-weir-explain: 1`."),
    ],
    rules: &[Rule::NotBoth("selector", "targetRefs")],
};
const ENVIRONMENT: &[(&str, Option<Discovery>)] =
    &[("Enabled", Some(Discovery::Enabled)), ("Disabled", Some(Discovery::Disabled))];
const UNPRICED: &[(&str, Option<Unpriced>)] = &[("Allow", Some(Unpriced::Allow)), ("Deny", Some(Unpriced::Deny))];
const DISCOVERY: Fields = Fields::of(&[may(
    "environment",
    Shape::Word(&ENVIRONMENT),
    "Providers whose keys are in the environment; Enabled is the default of `weir up`, Disabled that of `weir run`.",
)]);
const BODIES: Fields = Fields::of(&[
    may("maxRequest", Shape::Whole { least: 1, most: MAX_REQUEST }, "The largest request, at most 64Mi."),
    may("maxResponseHold", SIZE, "The largest response whose headers wait for its end."),
    may("maxEvent", SIZE, "The largest event of a stream that is read."),
    may("maxCapture", SIZE, "The largest answer that is kept."),
]);
const TARGET: Fields = Fields {
    rows: &[
        need("group", Shape::Text(&text::ANY), "The group of the kind."),
        need("kind", Shape::Word(&GATEWAYS), "What the proxy is attached to."),
        need("name", Shape::Text(&text::SUBDOMAIN), "Its name."),
    ],
    rules: &[Rule::Pairs { key: "kind", field: "group", table: GATEWAYS }],
};
const TELEMETRY: Fields = Fields::of(&[
    may("otlp", Shape::Object(&OTLP), "A collector of OpenTelemetry."),
    may(
        "metricLabels",
        Shape::List { item: &Shape::Word(&LABELS), least: 0, most: Most::Stored(16), keyed: Keyed::Set },
        "The labels of metrics: each multiplies their number.",
    ),
    may("contentCapture", Shape::Word(&CAPTURE), "What of prompts and answers goes into traces."),
]);
const OTLP: Fields = Fields::of(&[need("endpoint", Shape::Text(&text::ENDPOINT), "An http or https URL.")]);
const FAILURE: &[(&str, Option<FailurePolicy>)] =
    &[("Fail", Some(FailurePolicy::Fail)), ("Ignore", Some(FailurePolicy::Ignore))];
const EXPLAIN: &[(&str, Option<Explain>)] = &[("Off", Some(Explain::Off)), ("Header", Some(Explain::Header))];
const CAPTURE: &[(&str, Option<Capture>)] = &[("None", Some(Capture::None)), ("Full", Some(Capture::Full))];
const LABELS: &[(&str, Option<()>)] = &[
    ("namespace", Some(())),
    ("serviceAccount", Some(())),
    ("workload", Some(())),
    ("consumer", Some(())),
    ("team", Some(())),
    ("model", Some(())),
    ("backend", Some(())),
    ("provider", Some(())),
    ("route", Some(())),
];
/// What a proxy is attached to, and the group of each.
const GATEWAYS: &[(&str, Option<&str>)] =
    &[("Gateway", Some("gateway.networking.k8s.io")), ("HTTPRoute", Some("gateway.networking.k8s.io"))];
const HEADERS: &[(&str, Option<Header>)] = &[
    ("RequestId", Some(Header::RequestId)),
    ("Backend", Some(Header::Backend)),
    ("Model", Some(Header::Model)),
    ("Cost", Some(Header::Cost)),
    ("Tokens", Some(Header::Tokens)),
    ("Cache", Some(Header::Cache)),
    ("RateLimit", Some(Header::RateLimit)),
    ("Config", None),
];

// === impl LlmProfile ===

impl LlmProfile {
    pub(in super::super) fn read(reader: &Reader<'_>) -> Option<LlmProfile> {
        let object = reader.object(&PROFILE)?;
        read_reach(&object);
        let telemetry = or(&object, "telemetry", TelemetrySpec::default(), |telemetry| read_telemetry(&telemetry));
        let explain = object.get("explain").and_then(|word| word.word(EXPLAIN));
        let failure_policy = object.get("failurePolicy").and_then(|field| {
            let value = field.word(FAILURE)?;
            if value == FailurePolicy::Ignore {
                field.not_yet();
            }
            Some(Located { value, path: field.path().to_owned() })
        });
        Some(LlmProfile {
            discovery: object.get("discovery").and_then(|discovery| {
                let object = discovery.object(&DISCOVERY)?;
                object.get("environment").and_then(|word| word.word(ENVIRONMENT))
            }),
            identity: or(&object, "identity", IdentitySpec::default(), |identity| IdentitySpec::read(&identity)),
            failure_policy,
            bodies: or(&object, "bodies", BodiesSpec::default(), |bodies| read_bodies(&bodies)),
            unpriced: object.get("unpriced").and_then(|word| word.word(UNPRICED)),
            response_headers: object.get("responseHeaders").and_then(|list| read_headers(&list)),
            telemetry,
            explain,
        })
    }
}

/// Whose calls a profile is about, which is not built yet: it is about all of its namespace's.
fn read_reach(object: &Object<'_>) {
    let selector = object.later("selector");
    selector.as_ref().and_then(labels);
    let Some(targets) = object.later("targetRefs") else { return };
    if selector.is_some() {
        targets.error("say `selector` or `targetRefs` and not both");
    }
    targets.list(|target| {
        let object = target.object(&TARGET)?;
        object.need("name").and_then(|name| name.parsed(value::subdomain));
        let group = object.need("kind").and_then(|kind| kind.word(GATEWAYS));
        let said = object.need("group")?;
        if group.is_some_and(|group| said.text().is_some_and(|text| text != group)) {
            said.error(format_args!("the group of this kind is {:?}", group.unwrap_or_default()));
        }
        Some(())
    });
}

fn read_telemetry(reader: &Reader<'_>) -> Option<TelemetrySpec> {
    let object = reader.object(&TELEMETRY)?;
    let otlp = object.later("otlp");
    let is_traced = otlp.is_some();
    otlp.and_then(|otlp| otlp.object(&OTLP)?.need("endpoint")?.hushed().parsed(value::endpoint));
    let mut seen = HashSet::new();
    let labels = object.later("metricLabels");
    let is_labelled = labels.is_some();
    labels.and_then(|list| {
        list.list_or_empty(|item| {
            unique(&item, &mut seen, "label");
            item.word(LABELS)
        })
    });
    let capture = object.get("contentCapture").and_then(|field| {
        let value = field.word(CAPTURE)?;
        if value == Capture::Full {
            field.not_yet();
        }
        Some(value)
    });
    Some(TelemetrySpec { otlp: is_traced, metric_labels: is_labelled, capture })
}

fn read_bodies(reader: &Reader<'_>) -> Option<BodiesSpec> {
    let object = reader.object(&BODIES)?;
    let size = |name| object.get(name).and_then(|size| size.whole(value::size, 1, u64::MAX)?.try_into().ok());
    let max_request: Option<usize> = size("maxRequest");
    if let Some(field) = object.get("maxRequest")
        && max_request.and_then(|size| u64::try_from(size).ok()).is_some_and(|size| size > MAX_REQUEST)
    {
        field.error("is above 64Mi: a held body is one gRPC message between proxy and Weir, and those end at 65 MiB");
    }
    Some(BodiesSpec {
        max_request,
        max_response_hold: size("maxResponseHold"),
        max_event: size("maxEvent"),
        max_capture: size("maxCapture"),
    })
}

/// An empty list is a wish, too: no header at all.
fn read_headers(reader: &Reader<'_>) -> Option<ResponseHeaders> {
    let mut headers = ResponseHeaders {
        request_id: false,
        cache: false,
        backend: false,
        model: false,
        cost: false,
        tokens: false,
        rate_limit: false,
    };
    let mut seen = HashSet::new();
    reader.list_or_empty(|item| {
        unique(&item, &mut seen, "header");
        match item.word(HEADERS)? {
            Header::RequestId => headers.request_id = true,
            Header::Cache => headers.cache = true,
            Header::Backend => headers.backend = true,
            Header::Model => headers.model = true,
            Header::Cost => headers.cost = true,
            Header::Tokens => headers.tokens = true,
            Header::RateLimit => headers.rate_limit = true,
        }
        Some(())
    })?;
    Some(headers)
}
