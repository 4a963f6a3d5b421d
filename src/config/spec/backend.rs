//! LLMBackend: a provider, where it is and with whose key it is called.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::form;
use super::super::read::{Object, Reader};
use super::super::secret::{self, SecretSource};
use super::super::shape::{Fields, Only, Rule, Shape, list, may, need};
use super::super::text;
use super::super::value::{self, Endpoint};
use super::cloud::AzureEndpoint;
use super::headers::{HEADERS, HeaderEdits, read_headers};
use super::pricing::{PRICING, Pricing, read_pricing};
use super::{Callers, Cloud, CloudKey, Located, cloud, cloud_key, located, or, scope};
use crate::llm::Dialect;

/// Where calls can go.
#[derive(Clone, Debug, PartialEq)]
pub struct LlmBackend {
    pub name: String,
    /// A row of the catalogue.
    pub provider: Option<Located<String>>,
    pub endpoint: Option<Endpoint>,
    pub dialect: Option<Dialect>,
    pub tls: Option<Located<Tls>>,
    pub azure: Option<AzureEndpoint>,
    /// Where the provider's URL depends on it.
    pub region: Option<Located<String>>,
    /// Who may refer to it from another namespace.
    pub allowed: AllowedNamespaces,
    /// None where nothing is said of any.
    pub credentials: Vec<CredentialRow>,
    pub pricing: Option<Pricing>,
    pub headers: HeaderEdits,
}

/// Whose documents may refer to a document, besides those of its own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AllowedNamespaces {
    /// Nobody's.
    #[default]
    Same,
    All,
    /// Those of namespaces with these labels; not built yet, for files say nothing of namespaces.
    Selector(BTreeMap<String, String>),
}

/// How the server of an https endpoint is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file of CA certificates; none for the system's own.
    pub ca: Option<Located<PathBuf>>,
    /// SNI and the expected subject; none for the endpoint's host.
    pub server_name: Option<String>,
}

/// One credential, and whose calls leave with it.
#[derive(Clone, Debug, PartialEq)]
pub struct CredentialRow {
    /// None for the default.
    pub from: Option<Callers>,
    pub credential: CredentialSpec,
}

/// With whose key a call leaves.
#[derive(Clone, Debug, PartialEq)]
pub enum CredentialSpec {
    ApiKey(ApiKey),
    /// The caller's own.
    Caller,
    Anonymous,
    /// Of a cloud: a key that signs, or what a token is fetched with.
    Cloud(CloudKey),
}

/// Where a key is looked for: at each of these, until one has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKey {
    pub sources: Vec<SecretSource>,
    pub path: String,
}

#[derive(Clone, Copy, PartialEq)]
enum From {
    Same,
    All,
    Selector,
}

#[derive(Clone, Copy)]
enum Type {
    ApiKey,
    Caller,
    None,
    Cloud(Cloud),
}

pub(in super::super) const BACKEND: Fields = Fields {
    rows: &[
        may(
            "provider",
            Shape::Text(&text::ANY),
            "A row of the catalogue: `weir providers` lists them. It knows endpoint and dialect.",
        ),
        may(
            "endpoint",
            Shape::Text(&text::ENDPOINT),
            "An http or https URL with a path prefix; where there is no provider, or instead of its own.",
        ),
        may("tls", Shape::Object(&TLS), "How the server of an https endpoint is checked."),
        may("dialect", Shape::Word(&DIALECTS), "The API that the endpoint speaks."),
        may(
            "region",
            Shape::Text(&text::IDENTIFIER),
            "Where a provider has one: it says where Bedrock is, and where a signature for AWS is good.",
        ),
        may("azure", Shape::Object(&cloud::AZURE), "What an endpoint of Azure needs to know."),
        may(
            "allowedNamespaces",
            Shape::Object(&ALLOWED),
            "Whose documents may refer to this one, besides those of its own namespace.",
        ),
        may(
            "carriedBy",
            Shape::Object(&cloud::CARRIER),
            "The resource of the mesh that carries it; rendered if absent.",
        ),
        may(
            "credentials",
            list(&Shape::Object(&CREDENTIAL), 32),
            "With whose key a call leaves: the first whose `from` matches the caller; the one without is the default.",
        ),
        may("headers", Shape::Object(&HEADERS), "What every request to it leaves with, and without."),
        may("pricing", Shape::Object(&PRICING), "Prices of your own, over those of the catalogue."),
    ],
    rules: &[
        Rule::AnyOf(&[&["provider"], &["endpoint", "dialect"]]),
        Rule::Other {
            says: "only one credential may be without from: it is the default",
            cel: "!has(self.credentials) || self.credentials.filter(c, !has(c.from)).size() <= 1",
            json: r#"{"properties": {"credentials": {"contains": {"not": {"required": ["from"]}}, "minContains": 0, "maxContains": 1}}}"#,
        },
    ],
};
const ALLOWED: Fields = Fields {
    rows: &[
        need("from", Shape::Word(&FROMS), "Same: nobody else; All: everybody; Selector: namespaces with these labels."),
        may("selector", Shape::Object(&scope::SELECTOR), "Labels of the namespaces."),
    ],
    rules: &[
        Rule::Only {
            key: "from",
            fields: &[Only { field: "selector", words: &["Selector"], why: "only from: Selector has a selector" }],
        },
        Rule::Needed { field: "selector", key: "from", words: &["Selector"] },
    ],
};
const FROMS: &[(&str, Option<From>)] =
    &[("Same", Some(From::Same)), ("All", Some(From::All)), ("Selector", Some(From::Selector))];
const TLS: Fields = Fields::of(&[
    may("ca", Shape::Object(&CA), "CA certificates of the server; absent means the system's own."),
    may("serverName", Shape::Text(&text::HOST), "SNI and the expected subject; absent means the endpoint's host."),
]);
const CA: Fields = Fields::of(&[need("file", Shape::Text(&text::ANY_PATH), "A PEM file where the proxy runs.")]);
const CREDENTIAL: Fields = Fields {
    rows: &[
        may("from", list(&Shape::Object(&scope::CALLERS), 32), scope::FROM),
        need("type", Shape::Word(&TYPES), "What it is. Caller passes the caller's own key; None sends none."),
        may("apiKey", Shape::Object(&secret::SOURCE), "Where the key is."),
        may("aws", Shape::Object(&cloud_key::AWS_KEY), "How requests are signed for AWS."),
        may("gcp", Shape::Object(&cloud_key::GCP_KEY), "How a token of Google Cloud is had."),
        may("azure", Shape::Object(&cloud_key::AZURE_KEY), "How a token of Entra ID is had."),
        may("oauth", Shape::Object(&cloud_key::OAUTH_KEY), "How a token is had by the client credentials grant."),
    ],
    rules: &[
        Rule::Only {
            key: "type",
            fields: &[
                Only { field: "apiKey", words: &["APIKey"], why: "only a credential of type APIKey has a key" },
                Only { field: "aws", words: &["AWS"], why: "does not belong to a credential of this type" },
                Only { field: "gcp", words: &["GCP"], why: "does not belong to a credential of this type" },
                Only { field: "azure", words: &["Azure"], why: "does not belong to a credential of this type" },
                Only { field: "oauth", words: &["OAuth"], why: "does not belong to a credential of this type" },
            ],
        },
        Rule::Needed { field: "apiKey", key: "type", words: &["APIKey"] },
        Rule::Needed { field: "aws", key: "type", words: &["AWS"] },
        Rule::Needed { field: "gcp", key: "type", words: &["GCP"] },
        Rule::Needed { field: "azure", key: "type", words: &["Azure"] },
        Rule::Needed { field: "oauth", key: "type", words: &["OAuth"] },
    ],
};
const TYPES: &[(&str, Option<Type>)] = &[
    ("APIKey", Some(Type::ApiKey)),
    ("Caller", Some(Type::Caller)),
    ("None", Some(Type::None)),
    ("AWS", Some(Type::Cloud(Cloud::Aws))),
    ("GCP", Some(Type::Cloud(Cloud::Gcp))),
    ("Azure", Some(Type::Cloud(Cloud::Azure))),
    ("OAuth", Some(Type::Cloud(Cloud::OAuth))),
];
const DIALECTS: &[(&str, Option<Dialect>)] = &[
    ("OpenAI", Some(Dialect::OpenAi)),
    ("OpenAIResponses", Some(Dialect::Responses)),
    ("Anthropic", Some(Dialect::Anthropic)),
    ("Gemini", Some(Dialect::Gemini)),
    ("Vertex", Some(Dialect::Vertex)),
    ("Bedrock", Some(Dialect::Bedrock)),
    ("Azure", Some(Dialect::Azure)),
    ("Cohere", Some(Dialect::Cohere)),
    ("Ollama", Some(Dialect::Ollama)),
];

// === impl LlmBackend ===

impl LlmBackend {
    /// A backend of which nothing but the name is said.
    pub fn named(name: &str) -> LlmBackend {
        LlmBackend {
            name: name.to_owned(),
            provider: None,
            endpoint: None,
            dialect: None,
            tls: None,
            azure: None,
            region: None,
            allowed: AllowedNamespaces::default(),
            credentials: Vec::new(),
            pricing: None,
            headers: HeaderEdits::default(),
        }
    }

    pub(in super::super) fn read(reader: &Reader<'_>, name: &str) -> Option<LlmBackend> {
        let object = reader.object(&BACKEND)?;
        let backend = LlmBackend {
            name: name.to_owned(),
            provider: object.get("provider").and_then(|provider| located(&provider)),
            endpoint: object.get("endpoint").and_then(|endpoint| endpoint.hushed().parsed(value::endpoint)),
            dialect: object.get("dialect").and_then(|dialect| dialect.word(DIALECTS)),
            tls: object.get("tls").and_then(|tls| read_tls(&tls)),
            azure: object.get("azure").and_then(|azure| cloud::read_azure(&azure)),
            region: object.get("region").and_then(|region| {
                let path = region.path().to_owned();
                Some(Located { value: region.parsed(form::identifier)?, path })
            }),
            allowed: or(&object, "allowedNamespaces", AllowedNamespaces::default(), |allowed| read_allowed(&allowed)),
            credentials: object.get("credentials").and_then(|list| read_credentials(&list)).unwrap_or_default(),
            pricing: object.get("pricing").and_then(|pricing| read_pricing(&pricing)),
            headers: object.get("headers").and_then(|headers| read_headers(&headers)).unwrap_or_default(),
        };
        cloud::read(&object);
        match (object.get("provider"), object.get("endpoint"), object.get("dialect")) {
            (Some(_), _, _) | (None, Some(_), Some(_)) => {}
            (None, None, _) => object.at().error("needs a `provider` of the catalogue, or `endpoint` and `dialect`"),
            (None, Some(_), None) => object.at().error("needs a `dialect`, because it has no `provider`"),
        }
        Some(backend)
    }
}

fn read_allowed(reader: &Reader<'_>) -> Option<AllowedNamespaces> {
    let object = reader.object(&ALLOWED)?;
    let from = object.need("from").and_then(|word| word.word(FROMS));
    let selector = object.get("selector");
    let labels = selector.as_ref().and_then(scope::labels);
    if let (Some(selector), Some(from)) = (&selector, from)
        && from != From::Selector
    {
        selector.error("only `from: Selector` has a selector");
    }
    match from? {
        From::Same => Some(AllowedNamespaces::Same),
        From::All => Some(AllowedNamespaces::All),
        From::Selector => {
            object.need("from").as_ref().map(Reader::not_yet);
            object.need("selector")?;
            labels.map(AllowedNamespaces::Selector)
        }
    }
}

fn read_tls(reader: &Reader<'_>) -> Option<Located<Tls>> {
    let object = reader.object(&TLS)?;
    let tls = Tls {
        ca: object.get("ca").and_then(|ca| {
            let file = ca.object(&CA)?.need("file")?;
            Some(Located { value: file.text()?.into(), path: file.path().to_owned() })
        }),
        server_name: object.get("serverName").and_then(|name| name.parsed(value::host)),
    };
    Some(Located { value: tls, path: reader.path().to_owned() })
}

fn read_credentials(reader: &Reader<'_>) -> Option<Vec<CredentialRow>> {
    let mut plain = 0;
    reader.list(|item| {
        // A second one without `from` would never be chosen.
        let narrowed = item.has("from");
        plain += usize::from(!narrowed);
        if !narrowed && plain > 1 {
            item.error("only one credential may be without `from`: it is the default");
        }
        read_credential(&item)
    })
}

fn read_credential(reader: &Reader<'_>) -> Option<CredentialRow> {
    // Somebody may write the key itself into any of these fields.
    let object = reader.clone().hushed().object(&CREDENTIAL)?;
    let from = object.get("from").map(|from| scope::callers(&from));
    let credential = read_kind(&object)?;
    // Callers that could not be read must not become all callers.
    let from = match from {
        Some(from) => Some(from?),
        None => None,
    };
    Some(CredentialRow { from, credential })
}

fn read_kind(object: &Object<'_>) -> Option<CredentialSpec> {
    let kind = object.need("type").and_then(|word| word.word(TYPES));
    let key = object.get("apiKey");
    let source = key.as_ref().and_then(SecretSource::read);
    let mut cloud_key = None;
    for cloud in [Cloud::Aws, Cloud::Gcp, Cloud::Azure, Cloud::OAuth] {
        let Some(field) = object.get(cloud.field()) else { continue };
        let read = cloud.read(&field);
        if kind.is_some_and(|kind| matches!(kind, Type::Cloud(of) if of == cloud)) {
            cloud_key = read;
        } else if kind.is_some() {
            field.error("does not belong to a credential of this type");
        }
    }
    match (kind?, key) {
        (Type::Cloud(cloud), key) => {
            object.need(cloud.field());
            if let Some(key) = key {
                key.error("only a credential of type APIKey has a key");
            }
            return cloud_key.map(CredentialSpec::Cloud);
        }
        (Type::ApiKey, None) => drop(object.need("apiKey")),
        (Type::ApiKey, Some(key)) => {
            return Some(CredentialSpec::ApiKey(ApiKey { sources: vec![source?], path: key.path().to_owned() }));
        }
        (Type::Caller | Type::None, Some(key)) => key.error("only a credential of type APIKey has a key"),
        (Type::Caller, None) => return Some(CredentialSpec::Caller),
        (Type::None, None) => return Some(CredentialSpec::Anonymous),
    }
    None
}
