//! What the mock needs to know of an OpenAI request, read in one pass without a copy. Of a field that
//! comes twice the last one counts, as with OpenAI's own parser; fields that are not needed are skipped.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The fields of a chat completion, a text completion or an embedding request.
#[derive(Default)]
pub(super) struct Request<'a> {
    pub(super) model: Option<Cow<'a, str>>,
    /// The messages, or the prompt of a text completion.
    pub(super) prompt: Option<Prompt>,
    /// What is to be embedded.
    pub(super) input: Option<&'a RawValue>,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) max_tokens: Option<u64>,
    pub(super) choices: Option<u32>,
    /// The name of the first function among the tools.
    pub(super) tool: Option<Cow<'a, str>>,
    /// The names of the others.
    pub(super) more_tools: Vec<Cow<'a, str>>,
    /// No more than one call at a time.
    pub(super) one_call: bool,
    pub(super) forced: Forced<'a>,
    pub(super) dimensions: Option<u32>,
    /// Embeddings as base64 instead of as numbers.
    pub(super) base64: bool,
}

/// What `tool_choice` says.
#[derive(Default, PartialEq, Eq)]
pub(super) enum Forced<'a> {
    #[default]
    No,
    /// `"none"`: no call, whatever else is said.
    Never,
    /// `"required"`: some function.
    Any,
    /// This function.
    Named(Cow<'a, str>),
}

/// The size of what was said to the model.
#[derive(Clone, Copy, Default)]
pub(super) struct Prompt {
    weight: Weight,
    /// The last message is the user's.
    pub(super) user_last: bool,
}

/// The size of a content: a string, or parts with a `text`, or token numbers.
#[derive(Clone, Copy, Default)]
struct Weight {
    bytes: u64,
    numbers: u64,
}

/// A string that borrows where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    role: Option<Text<'a>>,
    #[serde(default)]
    content: Weight,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Choice<'a> {
    Function {
        #[serde(borrow)]
        function: Function<'a>,
    },
    Word(String),
    Other(IgnoredAny),
}

struct Fields;
struct Messages;
struct WeightOf;

// === impl Request ===

impl<'a> Request<'a> {
    /// Reads a request's body.
    ///
    /// # Errors
    /// The body is not a JSON object, or a field that is needed has another type.
    pub(super) fn parse(body: &'a [u8]) -> Result<Request<'a>, serde_json::Error> {
        serde_json::from_slice(body)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Request<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

impl<'de> Visitor<'de> for Fields {
    type Value = Request<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Request<'de>, A::Error> {
        let mut request = Request::default();
        let mut newer_limit = false;
        while let Some(Text(key)) = map.next_key::<Text>()? {
            match key.as_ref() {
                "model" => request.model = map.next_value::<Option<Text>>()?.map(|text| text.0),
                "messages" => request.prompt = Some(map.next_value_seed(Messages)?),
                "prompt" => request.prompt = Some(Prompt { weight: map.next_value()?, user_last: false }),
                "input" => request.input = Some(map.next_value()?),
                "stream" => request.stream = map.next_value::<Option<bool>>()?.unwrap_or(false),
                "stream_options" => {
                    let options: Option<StreamOptions> = map.next_value()?;
                    request.include_usage = options.and_then(|options| options.include_usage).unwrap_or(false);
                }
                "max_completion_tokens" => {
                    request.max_tokens = map.next_value()?;
                    newer_limit = request.max_tokens.is_some();
                }
                "max_tokens" if newer_limit => drop(map.next_value::<Option<u64>>()?),
                "max_tokens" => request.max_tokens = map.next_value()?,
                "n" => request.choices = map.next_value()?,
                "tools" => {
                    let tools: Option<Vec<Tool>> = map.next_value()?;
                    let mut functions = tools.into_iter().flatten().filter_map(|tool| tool.function);
                    request.tool = functions.next().map(|function| function.name.0);
                    request.more_tools = functions.map(|function| function.name.0).collect();
                }
                "tool_choice" => request.forced = map.next_value::<Choice>()?.into(),
                "parallel_tool_calls" => request.one_call = map.next_value::<Option<bool>>()? == Some(false),
                "dimensions" => request.dimensions = map.next_value()?,
                "encoding_format" => {
                    request.base64 = map.next_value::<Option<Text>>()?.is_some_and(|text| text.0 == "base64");
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(request)
    }
}

impl<'a> From<Choice<'a>> for Forced<'a> {
    fn from(choice: Choice<'a>) -> Self {
        match choice {
            Choice::Function { function } => Forced::Named(function.name.0),
            Choice::Word(word) if word == "required" => Forced::Any,
            Choice::Word(word) if word == "none" => Forced::Never,
            Choice::Word(_) | Choice::Other(_) => Forced::No,
        }
    }
}

// === impl Prompt ===

impl Prompt {
    /// The mock's prompt tokens: a quarter of the UTF-8 bytes of all text, rounded up, and every token
    /// that was sent as a number; at least 1.
    pub(super) fn tokens(self) -> u64 {
        self.weight.tokens().max(1)
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Messages {
    type Value = Prompt;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Prompt, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Messages {
    type Value = Prompt;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Prompt, A::Error> {
        let mut prompt = Prompt::default();
        while let Some(message) = seq.next_element::<Message>()? {
            prompt.weight.add(message.content);
            prompt.user_last = message.role.is_some_and(|role| role.0 == "user");
        }
        Ok(prompt)
    }
}

// === impl Weight ===

impl Weight {
    fn add(&mut self, other: Weight) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.numbers = self.numbers.saturating_add(other.numbers);
    }

    fn tokens(self) -> u64 {
        self.bytes.div_ceil(4).saturating_add(self.numbers)
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WeightOf)
    }
}

impl<'de> Visitor<'de> for WeightOf {
    type Value = Weight;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("text, parts or tokens")
    }

    fn visit_str<E>(self, text: &str) -> Result<Weight, E> {
        Ok(Weight { bytes: text.len() as u64, numbers: 0 })
    }

    fn visit_u64<E>(self, _: u64) -> Result<Weight, E> {
        Ok(Weight { bytes: 0, numbers: 1 })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Weight, E> {
        Ok(Weight::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Weight, E> {
        Ok(Weight::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Weight, E> {
        Ok(Weight::default())
    }

    fn visit_unit<E>(self) -> Result<Weight, E> {
        Ok(Weight::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Weight, A::Error> {
        let mut sum = Weight::default();
        while let Some(weight) = seq.next_element::<Weight>()? {
            sum.add(weight);
        }
        Ok(sum)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Weight, A::Error> {
        let mut sum = Weight::default();
        while let Some(Text(key)) = map.next_key::<Text>()? {
            if key == "text" {
                sum.add(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Request<'_> {
        Request::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn prompt_tokens_are_a_quarter_of_the_text() {
        let of = |body: &str| parse(body).prompt.unwrap().tokens();
        assert_eq!(of(r#"{"messages":[]}"#), 1);
        assert_eq!(of(r#"{"messages":[{"role":"user","content":"12345"}]}"#), 2);
        assert_eq!(of(r#"{"messages":[{"content":"é\n"},{"content":null},{"content":"12"}]}"#), 2);
        let parts = r#"{"messages":[{"content":[{"type":"text","text":"1234"},{"type":"image_url","image_url":{"url":"x"}}]}]}"#;
        assert_eq!(of(parts), 1);
        assert_eq!(of(r#"{"prompt":["1234","5"]}"#), 2);
        assert_eq!(of(r#"{"prompt":[1,2,3]}"#), 3);
    }

    #[test]
    fn the_last_of_two_counts_and_other_fields_are_skipped() {
        let request = parse(r#"{"model":"a","n":1,"x":{"model":[1e99]},"model":"b","stream":null,"n":2}"#);
        assert_eq!(request.model.as_deref(), Some("b"));
        assert_eq!(request.choices, Some(2));
        assert!(!request.stream);
    }

    #[test]
    fn max_completion_tokens_wins_in_any_order() {
        assert_eq!(parse(r#"{"max_tokens":1,"max_completion_tokens":2}"#).max_tokens, Some(2));
        assert_eq!(parse(r#"{"max_completion_tokens":2,"max_tokens":1}"#).max_tokens, Some(2));
        assert_eq!(parse(r#"{"max_completion_tokens":null,"max_tokens":1}"#).max_tokens, Some(1));
    }

    #[test]
    fn tools_and_their_choice() {
        let tools = r#"{"tools":[{"type":"custom"},{"type":"function","function":{"name":"f","parameters":{}}}],"#;
        let with = |choice: &str| format!("{tools}\"tool_choice\":{choice}}}");
        assert_eq!(parse(&with("\"auto\"")).tool.as_deref(), Some("f"));
        assert!(parse(&with("\"auto\"")).forced == Forced::No);
        assert!(parse(&with("null")).forced == Forced::No);
        assert!(parse(&with("\"required\"")).forced == Forced::Any);
        assert!(parse(&with(r#"{"type":"function","function":{"name":"g"}}"#)).forced == Forced::Named("g".into()));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Request::parse(&bytes);
        }
    }
}
