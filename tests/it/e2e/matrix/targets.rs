//! The targets: each API that a backend can speak, and the envelopes around two of them. All of them are the mock.

use super::clients::{Client, Thoughts};

/// One backend.
pub struct Target {
    pub name: &'static str,
    /// What stands in the backend's spec.
    pub spec: &'static str,
    /// The model that it is asked for.
    pub model: &'static str,
    /// Which of the seven APIs it speaks, as a rule.
    pub api: &'static str,
    /// What it tells of thinking.
    pub thoughts: Thoughts,
    /// It tells what was read from a cache.
    pub cached: bool,
}

/// The columns of the matrix.
pub const APIS: [&str; 7] = ["openai-chat", "openai-responses", "anthropic", "gemini", "bedrock", "cohere", "ollama"];

pub const TARGETS: &[Target] = &[
    Target {
        name: "openai-chat",
        // A row of the catalogue that has no Responses, so that a client of these is translated for.
        spec: "provider: mock, endpoint: 'http://{mock}/v1'",
        model: "gpt-4o-mini",
        api: "openai-chat",
        thoughts: Thoughts::Count,
        cached: true,
    },
    Target {
        name: "openai-responses",
        spec: "endpoint: 'http://{mock}/v1', dialect: OpenAIResponses",
        model: "gpt-4o-mini",
        api: "openai-responses",
        thoughts: Thoughts::TextAndCount,
        cached: true,
    },
    Target {
        name: "azure-deployment",
        spec: "endpoint: 'http://{mock}/openai', dialect: Azure, azure: {apiVersion: '2024-10-21', \
               deployments: [{model: gpt-4o-mini, deployment: our-mini}]}",
        model: "gpt-4o-mini",
        api: "openai-chat",
        thoughts: Thoughts::Count,
        cached: true,
    },
    Target {
        name: "azure-v1",
        spec: "endpoint: 'http://{mock}/openai/v1', dialect: Azure",
        model: "gpt-4o-mini",
        api: "openai-chat",
        thoughts: Thoughts::Count,
        cached: true,
    },
    Target {
        name: "anthropic",
        spec: "endpoint: 'http://{mock}/v1', dialect: Anthropic",
        model: "claude-sonnet-4-5",
        api: "anthropic",
        thoughts: Thoughts::Text,
        cached: true,
    },
    Target {
        name: "vertex-anthropic",
        spec: "endpoint: 'http://{mock}/v1/projects/p/locations/l', dialect: Vertex",
        model: "claude-sonnet-4-5@20250929",
        api: "anthropic",
        thoughts: Thoughts::Text,
        cached: true,
    },
    Target {
        name: "bedrock-anthropic",
        spec: "endpoint: 'http://{mock}', dialect: Bedrock",
        model: "anthropic.claude-sonnet-4-5-20250929-v1:0",
        api: "anthropic",
        thoughts: Thoughts::Text,
        cached: true,
    },
    Target {
        name: "gemini",
        spec: "endpoint: 'http://{mock}/v1beta', dialect: Gemini",
        model: "gemini-2.5-flash",
        api: "gemini",
        thoughts: Thoughts::TextAndCount,
        cached: true,
    },
    Target {
        name: "vertex-gemini",
        spec: "endpoint: 'http://{mock}/v1/projects/p/locations/l', dialect: Vertex",
        model: "gemini-2.5-flash",
        api: "gemini",
        thoughts: Thoughts::TextAndCount,
        cached: true,
    },
    Target {
        name: "bedrock",
        spec: "endpoint: 'http://{mock}', dialect: Bedrock",
        model: "amazon.nova-pro-v1:0",
        api: "bedrock",
        thoughts: Thoughts::Text,
        cached: true,
    },
    Target {
        name: "cohere",
        spec: "endpoint: 'http://{mock}/v2', dialect: Cohere",
        model: "command-a-reasoning-08-2025",
        api: "cohere",
        thoughts: Thoughts::Text,
        cached: false,
    },
    Target {
        name: "ollama",
        spec: "endpoint: 'http://{mock}', dialect: Ollama",
        model: "qwen3",
        api: "ollama",
        thoughts: Thoughts::Text,
        cached: false,
    },
];

// === impl Target ===

impl Target {
    /// The API in which it is asked for this client: the column of the matrix. A provider that has the client's own
    /// is asked in that, so Claude on Bedrock is asked by InvokeModel for one client alone, and OpenAI's v1 API at
    /// Azure has Responses too.
    pub fn api(&self, client: &Client) -> &'static str {
        match (self.name, client.own) {
            ("bedrock-anthropic", own) if own != "anthropic" => "bedrock",
            ("azure-v1", "openai-responses") => "openai-responses",
            _ => self.api,
        }
    }

    /// What a client calls it.
    pub fn alias(&self) -> String {
        format!("to-{}", self.name)
    }
}

/// A backend for each target, and a route that leads each alias to one.
pub fn documents() -> String {
    let backend = |target: &Target| {
        format!(
            "apiVersion: weir.dev/v1alpha1\nkind: LLMBackend\nmetadata: {{name: {}}}\n\
             spec: {{{}, credentials: [{{type: None}}]}}\n---\n",
            target.name, target.spec
        )
    };
    let rule = |target: &Target| {
        format!(
            "  - {{name: {name}, matches: [{{model: {{value: {alias}}}}}], backends: [{{name: {name}, model: '{model}'}}]}}\n",
            name = target.name,
            alias = target.alias(),
            model = target.model
        )
    };
    let profile = "apiVersion: weir.dev/v1alpha1\nkind: LLMProfile\nmetadata: {name: default}\n\
                   spec: {discovery: {environment: Disabled}}\n---\n";
    let route = "apiVersion: weir.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: matrix}\nspec:\n  rules:\n";
    let (backends, rules): (String, String) =
        (TARGETS.iter().map(backend).collect(), TARGETS.iter().map(rule).collect());
    format!("{profile}{backends}{route}{rules}")
}
