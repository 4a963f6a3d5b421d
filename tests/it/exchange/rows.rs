//! The provider table: whatever a row claims is asked of it, by a client of OpenAI's API or of Anthropic's, with
//! the row as a user has it in a document. What leaves must be for the row's host and path, carry its key where
//! the row says, and be taken by the mock, which refuses what its dialect's provider would.

use serde_json::{Value, json};
use tokio::net::TcpListener;
use weir::catalog::Catalog;
use weir::catalog::provider::{AuthScheme, Provider, fill};
use weir::config::{self, Options, SecretError, Secrets, Source};
use weir::exchange::event::Event;
use weir::llm::{Dialect, Operation};
use weir::mock::Mock;
use weir::policy::Policy;

use super::support::*;
use crate::support::http1::{Request, exchange};

const KEY: &str = "sk-of-the-row";

/// What a client asks for: the operation, its path and its body but for the model.
const ASKED: &[(Operation, &str, &str)] = &[
    (Operation::Chat, CHAT, r#"{"messages":[{"role":"user","content":"hi"}]}"#),
    (Operation::Chat, CHAT, r#"{"messages":[{"role":"user","content":"hi"}],"stream":true,"max_completion_tokens":9}"#),
    (Operation::Responses, "/v1/responses", r#"{"input":"hi"}"#),
    (Operation::Completion, "/v1/completions", r#"{"prompt":"hi","stream":true}"#),
    (Operation::Embeddings, "/v1/embeddings", r#"{"input":"hi"}"#),
    (Operation::Rerank, "/v1/rerank", r#"{"query":"hi","documents":["a","b"],"top_n":1}"#),
    (Operation::Image, "/v1/images/generations", r#"{"prompt":"a weir"}"#),
    (Operation::Audio, "/v1/audio/speech", r#"{"input":"hi","voice":"alloy"}"#),
    (Operation::Moderation, "/v1/moderations", r#"{"input":"hi"}"#),
    (Operation::CountTokens, "/v1/messages/count_tokens", r#"{"messages":[{"role":"user","content":"hi"}]}"#),
];

/// The path behind the row's URL, as the provider's reference has it.
fn path(dialect: Dialect, operation: Operation, model: &str, stream: bool) -> String {
    let google = match (operation, stream) {
        (Operation::CountTokens, _) => "countTokens",
        (Operation::Embeddings, _) if dialect == Dialect::Vertex => "predict",
        (Operation::Embeddings, _) => "batchEmbedContents",
        (_, true) => "streamGenerateContent?alt=sse",
        (_, false) => "generateContent",
    };
    match (dialect, operation) {
        (Dialect::Gemini, _) => format!("/models/{model}:{google}"),
        (Dialect::Vertex, _) => format!("/publishers/google/models/{model}:{google}"),
        (Dialect::Bedrock, Operation::CountTokens) => format!("/model/{}/count-tokens", model.replace(':', "%3A")),
        (Dialect::Bedrock, Operation::Embeddings) => format!("/model/{}/invoke", model.replace(':', "%3A")),
        (Dialect::Bedrock, _) if stream => format!("/model/{}/converse-stream", model.replace(':', "%3A")),
        (Dialect::Bedrock, _) => format!("/model/{}/converse", model.replace(':', "%3A")),
        (Dialect::Anthropic, Operation::CountTokens) => "/messages/count_tokens".to_owned(),
        (Dialect::Anthropic, _) => "/messages".to_owned(),
        (Dialect::Cohere, Operation::Embeddings) => "/embed".to_owned(),
        (Dialect::Cohere, Operation::Chat) => "/chat".to_owned(),
        (Dialect::Ollama, _) => "/api/chat".to_owned(),
        (_, Operation::Chat) => "/chat/completions".to_owned(),
        (_, Operation::Responses) => "/responses".to_owned(),
        (_, Operation::Completion) => "/completions".to_owned(),
        (_, Operation::Embeddings) => "/embeddings".to_owned(),
        (_, Operation::Rerank) => "/rerank".to_owned(),
        (_, Operation::Image) => "/images/generations".to_owned(),
        (_, Operation::Audio) => "/audio/speech".to_owned(),
        (_, Operation::Moderation) => "/moderations".to_owned(),
        (_, other) => panic!("{dialect} has no path for {}", other.as_str()),
    }
}

/// A model of which the mock knows that the provider's API serves it so.
fn model(dialect: Dialect, operation: Operation) -> &'static str {
    match (dialect, operation) {
        (Dialect::Bedrock, Operation::Embeddings) => "amazon.titan-embed-text-v2:0",
        (Dialect::Bedrock, _) => "amazon.nova-pro-v1:0",
        (Dialect::Cohere, Operation::Embeddings) => "embed-v4.0",
        (Dialect::Vertex | Dialect::Gemini, Operation::Embeddings) => "gemini-embedding-001",
        (Dialect::Vertex | Dialect::Gemini, _) => "gemini-2.5-flash",
        _ => "some-model",
    }
}

/// A row as a user has it: an environment, and a document that says what the row leaves open.
struct Used<'a> {
    catalog: &'a Catalog,
    row: &'a Provider,
    dialect: Dialect,
    /// The URL of the row with the user's words in it.
    url: String,
    auth: &'a AuthScheme,
    document: String,
}

struct NoSecrets;

impl Secrets for NoSecrets {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &std::path::Path) -> Result<String, SecretError> {
        Err(SecretError::NotFound)
    }
}

// === impl Used ===

impl<'a> Used<'a> {
    /// The row in its own dialect, and in each that it speaks besides.
    fn all(catalog: &'a Catalog, row: &'a Provider) -> Vec<Used<'a>> {
        let own = (row.dialect, row.base_url.as_deref(), &row.auth);
        let also = row.also.iter().map(|also| (also.dialect, Some(&*also.base_url), &also.auth));
        std::iter::once(own)
            .chain(also)
            .map(|(dialect, url, auth)| Used::new(catalog, row, dialect, url, auth))
            .collect()
    }

    fn new(
        catalog: &'a Catalog,
        row: &'a Provider,
        dialect: Dialect,
        url: Option<&str>,
        auth: &'a AuthScheme,
    ) -> Used<'a> {
        let region = row.regions.first().map_or("somewhere", |region| region);
        let of = |word: &str| Some(if word == "region" { region } else { "my.own" }.to_owned());
        let url = fill(url.unwrap_or("http://localhost:9/v1"), &of).expect("words that may stand in a URL");
        // An account is said by a whole URL, a region by its name.
        let by_region = row.base_url.is_some() && row.places.iter().all(|place| &*place.name == "region");
        let place = match (by_region, row.places.is_empty()) {
            (true, true) => String::new(),
            (true, false) => format!(", region: {region}"),
            (false, _) => format!(", endpoint: '{url}'"),
        };
        let speaks = match dialect == row.dialect {
            true => String::new(),
            false => format!(", dialect: {dialect}"),
        };
        let key = match auth {
            AuthScheme::None => String::new(),
            _ => format!(", credentials: [{{type: APIKey, apiKey: {{value: {KEY}}}}}]"),
        };
        let document = format!(
            "{{apiVersion: weir.dev/v1alpha1, kind: LLMBackend, metadata: {{name: one}}, \
             spec: {{provider: '{}'{place}{speaks}{key}}}}}",
            row.id
        );
        Used { catalog, row, dialect, url, auth, document }
    }

    fn policy(&self) -> Policy {
        let source = Source { files: vec![("row.yaml".to_owned(), self.document.clone())], ..Source::default() };
        let loaded = config::load(&source, &Options::default(), self.catalog, &NoSecrets, self.catalog.clone());
        let mut policy = loaded.unwrap_or_else(|errors| panic!("{}: {}", self.document, errors[0])).policy;
        policy.may_sign = true;
        policy
    }

    /// Host and path prefix of the URL.
    fn place(&self) -> (&str, &str) {
        let rest = self.url.split_once("://").expect("a URL").1;
        rest.find('/').map_or((rest, ""), |at| rest.split_at(at))
    }

    /// What is wrong with what leaves for one call.
    async fn asked(&self, mock: &Mock, (operation, client, body): (Operation, &str, &str)) -> Result<(), String> {
        let model = model(self.dialect, operation);
        let mut body: Value = serde_json::from_str(body).expect("a body");
        body["model"] = json!(format!("one/{model}"));
        let mut head = post(client);
        if client.starts_with("/v1/messages") {
            head.headers.push("anthropic-version", b"2023-06-01");
        }
        let mut world = World::new(self.policy());
        world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(body.to_string()), true));
        if !world.envoy.upstream.began {
            return Err(format!("it is refused: {}", world.client()));
        }
        let (host, prefix) = self.place();
        let stream = body["stream"] == json!(true);
        let wanted = [prefix, &path(self.dialect, operation, model, stream)].concat();
        let is = |name: &str, wanted: Option<&str>| match world.upstream_header(name) {
            found if found == wanted => Ok(()),
            found => Err(format!("{name} is {found:?} and should be {wanted:?}")),
        };
        is(":authority", Some(host))?;
        is(":path", Some(&wanted))?;
        match self.auth {
            AuthScheme::Bearer => is("authorization", Some(&format!("Bearer {KEY}")))?,
            AuthScheme::Header(name) if name == "authorization" => is("authorization", Some(KEY))?,
            AuthScheme::Header(name) => is(name.as_str(), Some(KEY)).and(is("authorization", None))?,
            AuthScheme::None => is("authorization", None)?,
        }
        for (name, value) in self.row.headers.iter().filter(|_| self.dialect == self.row.dialect) {
            is(name.as_str(), value.to_str().ok())?;
        }
        taken(&world, mock).await
    }
}

/// What the mock says against what left.
async fn taken(world: &World, mock: &Mock) -> Result<(), String> {
    let own = |name: &&String| !name.starts_with([':']) && *name != "content-length";
    let headers: Vec<(&str, &str)> = world
        .envoy
        .upstream
        .headers
        .keys()
        .filter(own)
        .map(|name| (name.as_str(), world.upstream_header(name).unwrap_or_default()))
        .collect();
    let request =
        Request { method: "POST", path: world.upstream_header(":path").unwrap_or_default(), headers: &headers };
    let request = request.with_length(&world.envoy.upstream.body);
    let answer = exchange(&mock.addr().to_string(), "POST", &request).await.map_err(|error| error.to_string())?;
    // To a path of no API the mock says what it received.
    let is_known = !answer.body.starts_with(br#"{"object":"mock","#);
    match answer.status {
        200 if is_known => Ok(()),
        status => Err(format!("{status} {}", String::from_utf8_lossy(&answer.body))),
    }
}

#[tokio::test]
async fn every_row_asks_legally_for_whatever_it_claims() {
    let mock = Mock::start(TcpListener::bind("127.0.0.1:0").await.expect("a free port")).await;
    let catalog = Catalog::builtin();
    let (mut wrong, mut calls) = (Vec::new(), 0);
    for used in catalog.providers().iter().flat_map(|row| Used::all(&catalog, row)) {
        let own = used.dialect == used.row.dialect;
        // Of what it does in another dialect no more is claimed than a chat.
        let claims = |operation: &Operation| match own {
            true => used.row.operations.contains(operation),
            false => *operation == Operation::Chat,
        };
        for asked in ASKED.iter().filter(|(operation, ..)| claims(operation)) {
            calls += 1;
            if let Err(error) = used.asked(&mock, *asked).await {
                wrong.push(format!("{} as {}, {}: {error}", used.row.id, used.dialect, asked.1));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {calls}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(calls > 400, "{calls}");
    // Weir itself lists the models of every row.
    let asked = |operation| ASKED.iter().any(|(known, ..)| *known == operation) || operation == Operation::Models;
    assert!(catalog.providers().iter().flat_map(|row| &row.operations).all(|operation| asked(*operation)));
}

/// What a row says wrongly is found: a table like the real one, each row with one fault.
#[tokio::test]
async fn a_claim_that_is_wrong_is_found() {
    const PRICES: &str = r#"{"format": "weir.prices/v1", "version": "1", "source": {"facts": "a test"}, "models": []}"#;
    let row = |id: &str, dialect: &str, url: &str, claims: &str| {
        format!(
            "[[provider]]\nid = {id:?}\nname = {id:?}\ndialect = {dialect:?}\nbase_url = {url:?}\n\
             auth = {{ scheme = \"bearer\" }}\nenv = [\"A_KEY\"]\nstream_usage = \"always\"\noperations = [{claims:?}]\n"
        )
    };
    let table = [
        row("right", "Cohere", "https://h.example/v2", "chat"),
        row("another-version", "Cohere", "https://h.example/v1", "chat"),
        row("no-vectors", "Anthropic", "https://h.example/v1", "embeddings"),
        row("no-count", "OpenAI", "https://h.example/v1", "count_tokens"),
    ];
    let catalog = Catalog::parse(&table.concat(), PRICES).unwrap_or_else(|errors| panic!("{}", errors[0]));
    let mock = Mock::start(TcpListener::bind("127.0.0.1:0").await.expect("a free port")).await;
    for row in catalog.providers() {
        let asked = ASKED.iter().find(|(operation, ..)| row.operations.contains(operation)).expect("it claims one");
        let used = &Used::all(&catalog, row)[0];
        let found = match asked.0 {
            // There is no such path to expect.
            Operation::CountTokens => {
                used.policy().targets.backends[0].passage("m", Dialect::Anthropic, asked.0).is_some()
            }
            _ => used.asked(&mock, *asked).await.is_ok(),
        };
        assert_eq!(found, &*row.id == "right", "{}", row.id);
    }
}
