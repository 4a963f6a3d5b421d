//! What of a prompt is no text, in a request body of any format that is held here: how many tokens the parts come
//! to that a tokenizer does not see, and whether there are any of which nothing is known but that they are there.
//!
//! | part | tokens |
//! |---|---|
//! | image, inline or by its address | the most that its model makes of one, see [`IMAGES`] |
//! | inline sound | its bytes at [`SOUND`] a second, [`SOUND_TOKENS`] each |
//! | inline document or video | one for eight bytes; nothing bounds what a provider reads out of them |
//! | document, sound or video by its address; tools that the provider runs | it refers to what is not here |
//! | the query of a rerank | its bytes for each document: Voyage bills it as often (Voyage AI, "Rerankers") |
//! | an earlier answer, a conversation, a stored prompt or cache | it goes on from what its provider keeps |
//!
//! A body without any of them is passed over once, for the words that name them, and not parsed.

use std::sync::LazyLock;

use regex::bytes::Regex;

use super::media::SOUND;
use crate::base::json::{self, JsonError, Kind, Span};

/// What a model makes of an image, by what its name has in it; the first row that fits.
struct Images {
    name: &'static str,
    /// The most tokens of one.
    most: u64,
    /// Of one that is to be seen in low detail, where its model knows that.
    low: Option<u64>,
}

const fn images(name: &'static str, most: u64, low: Option<u64>) -> Images {
    Images { name, most, low }
}

/// Claude's high resolution (Anthropic, "Vision", 2026: 4,784), Gemini's (Gemini API, "Media resolution": 2,240 at
/// ultra high), and OpenAI's ("Images and vision", 2026): so many for an image and for each of eight tiles, or for
/// each of 1,536 patches, of 10,000 in the newest. Of all others as many as the largest of those that are known:
/// 16,384 (Qwen-VL, `max_pixels` of 12,845,056).
const IMAGES: [Images; 13] = [
    images("claude", 4_784, None),
    images("gemini", 2_240, None),
    images("gpt-4o-mini", 2_833 + 8 * 5_667, Some(2_833)),
    images("gpt-4.1-mini", 3_779, None),
    images("gpt-4.1-nano", 3_779, None),
    images("gpt-4o", 85 + 8 * 170, Some(85)),
    images("gpt-4.1", 85 + 8 * 170, Some(85)),
    images("gpt-4-turbo", 85 + 8 * 170, Some(85)),
    // Those with a smaller number behind the point are billed by patches, some in their original size.
    images("gpt-5.", 16_384, None),
    images("gpt-5", 3_779, None),
    images("o4-mini", 3_779, None),
    images("o3", 75 + 8 * 150, Some(75)),
    images("", 16_384, None),
];

/// Tokens of a second of sound: Gemini's 32 (Gemini API, "Audio understanding"); OpenAI's are 10.
const SOUND_TOKENS: u64 = 32;

/// What a prompt has beside its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The most tokens that images and sound come to.
    pub tokens: u64,
    /// How many of them are of sound.
    pub sound: u64,
    /// Bytes of inline documents and video, which seldom come to more tokens. A text is none of them.
    pub documents: u64,
    /// Bytes of the body that are no text.
    pub bytes: u64,
    /// There is more in this prompt, and nobody here knows how much.
    pub refers: bool,
    /// Its provider puts before it what it keeps.
    pub goes_on: bool,
}

/// What a part is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Medium {
    Image,
    Sound,
    Video,
    Document,
}

/// Reads parts, all over a body.
struct Reader<'a> {
    body: &'a [u8],
    images: &'static Images,
    parts: Parts,
}

/// The parts of a body that `model` is to read. A body that is no JSON has none.
pub fn read(model: &str, body: &[u8]) -> Parts {
    if !may_have(body) {
        return Parts::default();
    }
    let [.., other] = &IMAGES;
    let images = IMAGES.iter().find(|images| names(model, images.name)).unwrap_or(other);
    let mut reader = Reader { body, images, parts: Parts::default() };
    // In what is too deep or too long to be listed there may be anything.
    reader.parts.refers |= matches!(reader.top(), Err(JsonError::Depth { .. } | JsonError::TooMany { .. }));
    reader.parts
}

/// Whether a model's name has this in it, from the beginning of a word on.
pub fn names(model: &str, name: &str) -> bool {
    let begins =
        |at: usize| model.as_bytes().get(at.wrapping_sub(1)).is_none_or(|before| !before.is_ascii_alphanumeric());
    name.is_empty() || model.match_indices(name).any(|(at, _)| begins(at))
}

/// Whether a body has any of the words that parts are named by. A key may be written in escapes.
fn may_have(body: &[u8]) -> bool {
    const WORDS: &str = concat!(
        r#"(?i)"(?:image|input_|inline|file|video|audio|source"|document|container_upload|item_reference|computer_"#,
        r#"|previous_response_id|conversation|prompt"|cached|mcp|web_|code_|google|url_?context|tool_search|search_p)"#,
        r"|\\u00[4-7]",
    );
    static NAMES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(WORDS).ok());
    NAMES.as_ref().is_none_or(|names| names.is_match(body))
}

// === impl Reader ===

impl Reader<'_> {
    fn top(&mut self) -> Result<(), JsonError> {
        let (mut query, mut documents) = (0, 0);
        for member in json::object(self.body)? {
            let there = member.kind != Kind::Null;
            match &*member.key {
                "query" => query = member.value.slice(self.body).len() as u64,
                "documents" if member.kind == Kind::Array => {
                    documents = json::elements(self.body, member.value)?.len() as u64;
                }
                _ => {}
            }
            // A server written in Go reads any case.
            match &*member.key.to_ascii_lowercase() {
                "previous_response_id" | "conversation" | "cachedcontent" | "cached_content" => {
                    self.parts.goes_on |= there;
                }
                "mcp_servers" | "web_search_options" | "search_parameters" => self.parts.refers |= there,
                // Else it is text.
                "prompt" => self.parts.goes_on |= member.kind == Kind::Object,
                "tools" => self.tools(member.value, member.kind)?,
                "messages" | "contents" | "input" | "system" | "systeminstruction" | "system_instruction"
                | "documents" | "images" => self.walk(member.value, member.kind, medium(&member.key))?,
                _ => {}
            }
        }
        // It stands there once.
        let again = query.saturating_mul(documents.saturating_sub(1));
        self.parts.tokens = self.parts.tokens.saturating_add(again);
        Ok(())
    }

    /// Tools that run at the provider, whose results are prompts of it.
    fn tools(&mut self, value: Span, kind: Kind) -> Result<(), JsonError> {
        const RUN: [&str; 6] = ["web_", "code_", "mcp", "file_search", "tool_search", "image_generation"];
        const KEYS: [&str; 8] = [
            "googleSearch",
            "google_search",
            "googleSearchRetrieval",
            "urlContext",
            "url_context",
            "codeExecution",
            "code_execution",
            "googleMaps",
        ];
        if kind != Kind::Array {
            return Ok(());
        }
        for (tool, kind) in json::elements(self.body, value)? {
            if kind != Kind::Object {
                continue;
            }
            for member in json::members(self.body, tool)? {
                let is_run = member.key == "type"
                    && json::string(member.value.slice(self.body))
                        .is_some_and(|name| RUN.iter().any(|run| name.starts_with(run)));
                self.parts.refers |= is_run || KEYS.contains(&&*member.key);
            }
        }
        Ok(())
    }

    /// A value inside of what `around` is named.
    fn walk(&mut self, value: Span, kind: Kind, around: Option<Medium>) -> Result<(), JsonError> {
        match kind {
            Kind::Array => {
                for (value, kind) in json::elements(self.body, value)? {
                    match (kind, around) {
                        // Ollama's images are a list of texts.
                        (Kind::String, Some(Medium::Image)) => self.add(Medium::Image, self.images.most, "", value),
                        _ => self.walk(value, kind, around)?,
                    }
                }
            }
            Kind::Object => self.object(value, around)?,
            Kind::String | Kind::Number | Kind::True | Kind::False | Kind::Null => {}
        }
        Ok(())
    }

    fn object(&mut self, value: Span, around: Option<Medium>) -> Result<(), JsonError> {
        let members = json::members(self.body, value)?;
        let (mut here, mut image, mut is_text) = (around, self.images.most, false);
        for member in members.iter().filter(|member| member.kind == Kind::String) {
            let Some(text) = matches!(&*member.key, "type" | "mimeType" | "mime_type" | "media_type" | "detail")
                .then(|| json::string(member.value.slice(self.body)))
                .flatten()
            else {
                continue;
            };
            match (&*member.key, &*text) {
                ("detail", detail) => image = self.images.low.filter(|_| detail == "low").unwrap_or(image),
                ("type", "item_reference") => self.parts.goes_on = true,
                // Of a source it says where it is.
                ("type", "file") => here = here.or(Some(Medium::Document)),
                ("type", "text") => is_text = true,
                ("type", name) => here = medium(name).or(here),
                (_, mime) => match of_mime(mime) {
                    Some(medium) => here = Some(medium),
                    None => is_text = true,
                },
            }
        }
        // What is said to be text is, and counted as such.
        here = here.filter(|_| !is_text);
        for member in &members {
            let inner = medium(&member.key).or(here);
            match (&*member.key, member.kind, inner) {
                // What a model wrote, and what a tool answered: text, whatever its keys are.
                ("input" | "arguments" | "args" | "response" | "json", Kind::Object, _) => {}
                (key, Kind::String, Some(medium)) if is_place(key) => self.add(medium, image, key, member.value),
                ("id", Kind::String, Some(Medium::Sound)) => self.parts.refers = true,
                (_, Kind::Array | Kind::Object, _) => self.walk(member.value, member.kind, inner)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// One part, whose content or address is this text.
    fn add(&mut self, medium: Medium, image: u64, key: &str, value: Span) {
        let text = value.slice(self.body);
        let is_inline = matches!(key, "" | "data" | "bytes" | "file_data" | "result" | "input_audio")
            || text.starts_with(b"\"data:");
        let length = text.len() as u64;
        // Four characters of base64 are three bytes.
        let bytes = length.saturating_mul(3).div_ceil(4);
        match medium {
            Medium::Image => self.parts.tokens = self.parts.tokens.saturating_add(image),
            _ if !is_inline => {
                self.parts.refers = true;
                return;
            }
            Medium::Sound => {
                let tokens = bytes.div_ceil(SOUND).saturating_mul(SOUND_TOKENS);
                self.parts.tokens = self.parts.tokens.saturating_add(tokens);
                self.parts.sound = self.parts.sound.saturating_add(tokens);
            }
            Medium::Video | Medium::Document => self.parts.documents += length,
        }
        self.parts.bytes += length;
    }
}

/// The keys under which the content of a part stands, or its address.
fn is_place(key: &str) -> bool {
    matches!(
        key,
        "url" | "uri" | "data" | "bytes" | "file_data" | "file_id" | "file_url" | "fileUri" | "file_uri" | "result"
    ) || matches!(key, "image_url" | "audio_url" | "video_url" | "document_url" | "input_audio")
}

/// What the name of a key or of a type says that is in it.
fn medium(name: &str) -> Option<Medium> {
    Some(match name {
        "image" | "images" | "image_url" | "input_image" | "computer_screenshot" | "image_generation_call" => {
            Medium::Image
        }
        "audio" | "input_audio" | "audio_url" => Medium::Sound,
        "video" | "input_video" | "video_url" => Medium::Video,
        "file" | "input_file" | "document" | "document_url" | "container_upload" | "file_data" | "fileData"
        | "inlineData" | "inline_data" => Medium::Document,
        _ => return None,
    })
}

/// What a media type is of; none of text.
fn of_mime(mime: &str) -> Option<Medium> {
    match mime.split('/').next().unwrap_or_default() {
        "image" => Some(Medium::Image),
        "audio" => Some(Medium::Sound),
        "video" => Some(Medium::Video),
        "text" => None,
        _ => Some(Medium::Document),
    }
}

#[cfg(test)]
mod tests;
