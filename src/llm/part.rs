//! What is said in one piece: by whoever asks, and by the model. Borrowed from a body where it is read
//! from one, owned where it outlives it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Format;

/// One piece of a turn or of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Part<'a> {
    pub content: Content<'a>,
    /// The provider shall cache the prompt up to and including this part.
    pub cache: Option<CacheMark>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Content<'a> {
    Text {
        text: Cow<'a, str>,
        citations: Vec<Citation<'a>>,
    },
    Media(Media<'a>),
    ToolCall(ToolCall<'a>),
    ToolResult(ToolResult<'a>),
    /// What the model thought, or a summary of it.
    Reasoning {
        text: Cow<'a, str>,
        signature: Option<Signature<'a>>,
    },
    /// What the model thought, for its provider's eyes only.
    Redacted(Signature<'a>),
    /// Why the model will not answer.
    Refusal(Cow<'a, str>),
}

/// How long a provider keeps a cached prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum CacheMark {
    /// The provider's own time; Anthropic's and Bedrock's is 5 minutes.
    #[default]
    Default,
    Hour,
}

/// What is no text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Media<'a> {
    pub kind: MediaKind,
    /// `image/png`; none where nobody says it.
    pub mime: Option<Cow<'a, str>>,
    pub source: Source<'a>,
    /// A file's name or title.
    pub name: Option<Cow<'a, str>>,
    /// OpenAI's `detail` of an image: `low`, `high`, `auto`.
    pub detail: Option<Cow<'a, str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum MediaKind {
    Image,
    Audio,
    Video,
    /// A document: PDF, text, a table.
    File,
}

/// Where media are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Source<'a> {
    /// Standard base64 of the bytes, without the head of a data URL.
    Base64(Cow<'a, str>),
    /// An http(s), `gs://` or `s3://` URL, which the provider reads.
    Url(Cow<'a, str>),
    /// An id that the provider gave out for an upload. No other provider knows it.
    FileId(Cow<'a, str>),
    /// A document that is plain text.
    Text(Cow<'a, str>),
}

/// A function that the model wants called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ToolCall<'a> {
    /// Empty where the API has none (Gemini, Ollama).
    pub id: Cow<'a, str>,
    pub name: Cow<'a, str>,
    /// JSON text of an object, as the model wrote it; it may be malformed. Empty stands for `{}`.
    pub arguments: Cow<'a, str>,
    /// What the provider wants to see again beside this call (Gemini's `thoughtSignature`).
    pub signature: Option<Signature<'a>>,
}

/// What a function returned.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ToolResult<'a> {
    /// The call's id.
    pub id: Cow<'a, str>,
    /// The function's name, where the API says it here; [`super::chat::Chat::name_results`] fills it in.
    pub name: Option<Cow<'a, str>>,
    pub parts: Vec<Part<'a>>,
    pub is_error: bool,
}

/// Where an answer took something from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Citation<'a> {
    pub url: Option<Cow<'a, str>>,
    pub title: Option<Cow<'a, str>>,
    /// The words that were taken.
    pub quote: Option<Cow<'a, str>>,
    /// Which of the request's documents, counted from 0.
    pub document: Option<u64>,
    /// Where in the answer's text it holds, in Unicode scalar values: from, and up to but not including.
    pub start: Option<u64>,
    pub end: Option<u64>,
}

/// A provider's own seal on what its model thought. Only who made it takes it back: sent to another one it
/// is an error there. So it travels through a client of another API with its maker's name on it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Signature<'a> {
    pub maker: Format,
    pub data: Cow<'a, str>,
}

/// What stands in front of a seal that goes through a client of another API.
const MARK: &str = "weir.";

// === impl Part ===

impl<'a> Part<'a> {
    pub fn new(content: Content<'a>) -> Self {
        Part { content, cache: None }
    }

    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Part::new(Content::Text { text: text.into(), citations: Vec::new() })
    }

    /// The text of a text part.
    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text { text, .. } => Some(text),
            _ => None,
        }
    }
}

// === into_owned ===

/// What outlives the body that it was read from.
fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

fn own_if(text: Option<Cow<'_, str>>) -> Option<Cow<'static, str>> {
    text.map(own)
}

impl Part<'_> {
    pub fn into_owned(self) -> Part<'static> {
        let content = match self.content {
            Content::Text { text, citations } => {
                Content::Text { text: own(text), citations: citations.into_iter().map(Citation::into_owned).collect() }
            }
            Content::Media(media) => Content::Media(media.into_owned()),
            Content::ToolCall(call) => Content::ToolCall(call.into_owned()),
            Content::ToolResult(result) => Content::ToolResult(result.into_owned()),
            Content::Reasoning { text, signature } => {
                Content::Reasoning { text: own(text), signature: signature.map(Signature::into_owned) }
            }
            Content::Redacted(data) => Content::Redacted(data.into_owned()),
            Content::Refusal(text) => Content::Refusal(own(text)),
        };
        Part { content, cache: self.cache }
    }
}

impl Media<'_> {
    pub fn into_owned(self) -> Media<'static> {
        let source = match self.source {
            Source::Base64(text) => Source::Base64(own(text)),
            Source::Url(text) => Source::Url(own(text)),
            Source::FileId(text) => Source::FileId(own(text)),
            Source::Text(text) => Source::Text(own(text)),
        };
        let Media { kind, mime, name, detail, .. } = self;
        Media { kind, mime: own_if(mime), source, name: own_if(name), detail: own_if(detail) }
    }
}

impl ToolCall<'_> {
    pub fn into_owned(self) -> ToolCall<'static> {
        let ToolCall { id, name, arguments, signature } = self;
        let signature = signature.map(Signature::into_owned);
        ToolCall { id: own(id), name: own(name), arguments: own(arguments), signature }
    }
}

impl ToolResult<'_> {
    pub fn into_owned(self) -> ToolResult<'static> {
        ToolResult {
            id: own(self.id),
            name: own_if(self.name),
            parts: self.parts.into_iter().map(Part::into_owned).collect(),
            is_error: self.is_error,
        }
    }
}

impl Citation<'_> {
    pub fn into_owned(self) -> Citation<'static> {
        let Citation { url, title, quote, document, start, end } = self;
        Citation { url: own_if(url), title: own_if(title), quote: own_if(quote), document, start, end }
    }
}

// === impl MediaKind ===

impl MediaKind {
    /// OpenAI's name of the field that holds it, by which it is said to be lost.
    pub fn field(self) -> &'static str {
        match self {
            MediaKind::Image => "messages[].content[].image_url",
            MediaKind::Audio => "messages[].content[].input_audio",
            MediaKind::Video => "messages[].content[].video_url",
            MediaKind::File => "messages[].content[].file",
        }
    }
}

// === impl Source ===

impl Source<'_> {
    /// Bytes of it that are held.
    pub fn len(&self) -> usize {
        match self {
            Source::Base64(text) | Source::Url(text) | Source::FileId(text) | Source::Text(text) => text.len(),
        }
    }

    /// True when nothing is there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

// === impl Signature ===

impl<'a> Signature<'a> {
    /// A seal as it stands in a body of `format`: that format's own, or one that Weir marked.
    pub fn read(format: Format, text: Cow<'a, str>) -> Self {
        let marked = text.strip_prefix(MARK).and_then(|rest| rest.split_once(':'));
        let maker = marked.and_then(|(word, _)| Format::ALL.into_iter().find(|maker| maker.as_str() == word));
        match (maker, marked) {
            (Some(maker), Some((word, _))) => {
                let at = MARK.len() + word.len() + 1;
                let data = match text {
                    Cow::Borrowed(text) => Cow::Borrowed(text.get(at..).unwrap_or_default()),
                    Cow::Owned(text) => Cow::Owned(text.get(at..).unwrap_or_default().to_owned()),
                };
                Signature { maker, data }
            }
            _ => Signature { maker: format, data: text },
        }
    }

    pub fn into_owned(self) -> Signature<'static> {
        Signature { maker: self.maker, data: own(self.data) }
    }

    /// The seal for a provider that speaks `format`: nothing where another one made it.
    pub fn for_provider(&self, format: Format) -> Option<&str> {
        (self.maker == format).then_some(&*self.data)
    }

    /// The seal of a thought for a Claude model behind `format`. Anthropic's are good wherever its models are
    /// served ("Signature values are compatible across platforms": Claude docs, "Extended thinking"); of
    /// what other models behind the same APIs call a signature they are told by how they begin, which is the
    /// first byte of Anthropic's protobuf in base64. Redacted thoughts are spelt differently in each API.
    pub fn for_claude(&self, format: Format) -> Option<&str> {
        let is_claudes = matches!(self.maker, Format::Messages | Format::Converse) && self.data.starts_with('E');
        self.for_provider(format).or_else(|| is_claudes.then_some(&*self.data))
    }

    /// The seal for a client that speaks `format`.
    pub fn for_client(&self, format: Format) -> Cow<'_, str> {
        match self.maker == format {
            true => Cow::Borrowed(&*self.data),
            false => Cow::Owned([MARK, self.maker.as_str(), ":", &*self.data].concat()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_comes_back_to_its_maker_through_any_client() {
        for maker in Format::ALL {
            for client in Format::CLIENTS {
                let made = Signature { maker, data: "c2Vh:bA==".into() };
                let seen = made.for_client(client).into_owned();
                let back = Signature::read(client, Cow::Borrowed(&seen));
                assert_eq!(back, made, "{maker} through {client}");
                for provider in Format::ALL {
                    let sent = back.for_provider(provider);
                    assert_eq!(sent, (provider == maker).then_some("c2Vh:bA=="), "{provider}");
                }
            }
        }
    }

    #[test]
    fn a_claudes_seal_is_good_wherever_claude_is_served() {
        let sent = |maker, data: &'static str, to| Signature { maker, data: data.into() }.for_claude(to).is_some();
        let (claude, bedrock) = (Format::Messages, Format::Converse);
        assert!(sent(claude, "EqQBCgIYAhIM", bedrock) && sent(bedrock, "EqQBCgIYAhIM", claude));
        assert!(sent(claude, "other", claude) && sent(bedrock, "other", bedrock));
        assert!(!sent(claude, "other", bedrock) && !sent(bedrock, "other", claude));
        assert!(!sent(Format::Gemini, "EqQBCgIYAhIM", claude) && !sent(Format::Responses, "EqQB", bedrock));
    }

    #[test]
    fn what_only_looks_like_a_mark_is_the_seal_itself() {
        for text in ["weir.", "weir.nobody:x", "weir.gemini", ""] {
            let read = Signature::read(Format::Messages, Cow::Borrowed(text));
            assert_eq!((read.maker, &*read.data), (Format::Messages, text));
        }
    }
}
