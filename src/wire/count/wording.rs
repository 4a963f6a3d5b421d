//! What is counted here of a chat whose provider counts none: its text for a tokenizer, and a flat figure for
//! whatever is no text. How a provider writes a chat into a prompt is not published, so this is an estimate
//! whatever the tokenizer.
//!
//! | part | counts as | source |
//! |---|---|---|
//! | a turn | its role, and [`FRAME`] more; once more for the answer's beginning | OpenAI, "How to count tokens with tiktoken" |
//! | who says it, where it is named | the name, and one more | the same |
//! | text, reasoning, refusals, calls' names and arguments, what functions return | their text | |
//! | a function, a schema of the answer | its strings, and the names of its properties | |
//! | an image | 765; 85 in `detail: low` | OpenAI, "Images and vision": GPT-4o, 1024 x 1024 |
//! | a document that is no text | 3,000: a page of it | Anthropic, "PDF support": 1,500 to 3,000 |
//! | sound, video | 1,920 and 15,780: a minute | Gemini API, "Understand and count tokens": 32 and 263 a second |

use std::fmt;

use crate::llm::chat::{Chat, OutputFormat, Role, Turn};
use crate::llm::part::{Content, Media, MediaKind, Part, Source};
use crate::wire::prompt::{self, FRAME};

/// The most text that is kept to be counted, in bytes; the rest is taken to be like it.
const MOST: usize = 4 << 20;

/// The deepest nesting of parts that is looked at: what a function returns has parts of its own.
const DEEPEST: usize = 8;

/// The text of a chat. It is somebody's prompt: no `Debug` shows it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Wording {
    /// As far as it was kept.
    text: String,
    /// Where each piece of it ends.
    ends: Vec<usize>,
    /// Bytes of all of it.
    whole: u64,
    /// Tokens of what is no text.
    added: u64,
}

// === impl Wording ===

impl Wording {
    pub(super) fn of(chat: &Chat<'_>) -> Self {
        let mut wording = Wording { added: FRAME, ..Wording::default() };
        chat.turns.iter().for_each(|turn| wording.turn(turn));
        for tool in &chat.tools {
            wording.say(&tool.name);
            wording.say(tool.description.as_deref().unwrap_or_default());
            wording.schema(tool.parameters.as_deref().unwrap_or_default());
        }
        if let Some(OutputFormat::Schema { name, description, schema, .. }) = &chat.output {
            wording.say(name.as_deref().unwrap_or_default());
            wording.say(description.as_deref().unwrap_or_default());
            wording.schema(schema);
        }
        wording
    }

    /// Bytes of its text.
    pub fn bytes(&self) -> u64 {
        self.whole
    }

    /// Tokens of what is no text.
    pub fn added(&self) -> u64 {
        self.added
    }

    /// The tokens of all of it, by `count` of each piece of text. Time linear in what was kept.
    pub fn tokens(&self, mut count: impl FnMut(&str) -> u64) -> u64 {
        let mut begin = 0;
        let mut counted = 0_u64;
        for &end in &self.ends {
            counted = counted.saturating_add(count(self.text.get(begin..end).unwrap_or_default()));
            begin = end;
        }
        let kept = self.text.len() as u64;
        let all = match self.whole > kept && kept > 0 {
            true => u64::try_from(u128::from(counted) * u128::from(self.whole) / u128::from(kept)).unwrap_or(u64::MAX),
            false => counted,
        };
        all.saturating_add(self.added)
    }

    fn say(&mut self, text: &str) {
        self.whole = self.whole.saturating_add(text.len() as u64);
        let room = MOST.saturating_sub(self.text.len()).min(text.len());
        // A character is at most four bytes, so one of four neighbouring offsets is between two.
        let kept = (room.saturating_sub(3)..=room).rev().find_map(|end| text.get(..end)).unwrap_or_default();
        if !kept.is_empty() {
            self.text.push_str(kept);
            self.ends.push(self.text.len());
        }
    }

    fn turn(&mut self, turn: &Turn<'_>) {
        self.added = self.added.saturating_add(FRAME);
        self.say(match turn.role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
        });
        if let Some(name) = &turn.name {
            self.say(name);
            self.added = self.added.saturating_add(1);
        }
        self.parts(&turn.parts, 0);
    }

    fn parts(&mut self, parts: &[Part<'_>], depth: usize) {
        for part in parts.iter().filter(|_| depth < DEEPEST) {
            match &part.content {
                Content::Text { text, .. } | Content::Reasoning { text, .. } | Content::Refusal(text) => self.say(text),
                Content::Media(media) => self.media(media),
                Content::ToolCall(call) => {
                    self.say(&call.name);
                    self.say(&call.arguments);
                }
                Content::ToolResult(result) => {
                    self.say(result.name.as_deref().unwrap_or_default());
                    self.parts(&result.parts, depth + 1);
                }
                // No provider but its own reads it, and that one does not say how long it is.
                Content::Redacted(_) => {}
            }
        }
    }

    fn media(&mut self, media: &Media<'_>) {
        if let Source::Text(text) = &media.source {
            return self.say(text);
        }
        let figure = match media.kind {
            MediaKind::Image if media.detail.as_deref() == Some("low") => 85,
            MediaKind::Image => 765,
            MediaKind::File => 3_000,
            MediaKind::Audio => 1_920,
            MediaKind::Video => 15_780,
        };
        self.added = self.added.saturating_add(figure);
    }

    /// A schema that is none is text like any other.
    fn schema(&mut self, schema: &str) {
        let before = (self.text.len(), self.ends.len(), self.whole);
        if !schema.is_empty() && prompt::schema(schema, &mut |text| self.say(text)).is_err() {
            self.text.truncate(before.0);
            self.ends.truncate(before.1);
            self.whole = before.2;
            self.say(schema);
        }
    }
}

impl fmt::Debug for Wording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wording({} bytes, {} tokens beside them)", self.whole, self.added)
    }
}
