//! What was said, in the order that the API wants: the user begins, the sides take turns, nobody says
//! nothing, and what functions returned comes first.

use super::content;
use super::family::Family;
use crate::llm::chat::Role;
use crate::llm::part::{Content, MediaKind, Part};
use crate::llm::{Chat, Dropped};

/// What is said where the API wants something said and nobody did.
pub(super) const FILLER: &str = ".";

/// A whole request's words, all of which can be written.
#[derive(Debug, Default)]
pub(super) struct Talk<'c, 'a> {
    pub(super) system: Vec<&'c Part<'a>>,
    pub(super) turns: Vec<Spoken<'c, 'a>>,
    /// Calls or results are among them.
    pub(super) has_tools: bool,
}

#[derive(Debug)]
pub(super) struct Spoken<'c, 'a> {
    pub(super) is_user: bool,
    pub(super) parts: Vec<&'c Part<'a>>,
}

// === impl Talk ===

impl<'c, 'a> Talk<'c, 'a> {
    pub(super) fn of(chat: &'c Chat<'a>, family: Family, dropped: &mut Dropped) -> Self {
        let mut talk = Talk::default();
        for turn in &chat.turns {
            if turn.name.is_some() {
                dropped.field("messages[].name");
            }
            let parts = turn.parts.iter().filter(|part| content::is_sayable(part, turn.role, family, dropped));
            match turn.role {
                Role::System | Role::Developer => {
                    let before = talk.system.len();
                    talk.system.extend(parts);
                    // Nothing stands between what the sides say.
                    if !talk.turns.is_empty() && talk.system.len() > before {
                        dropped.field("messages[].role");
                    }
                }
                Role::User => talk.say(true, parts.collect()),
                Role::Assistant => talk.say(false, parts.collect()),
            }
        }
        if talk.turns.is_empty() && !talk.system.is_empty() {
            // Instructions alone are what the user says.
            dropped.field("messages[].role");
            let parts = std::mem::take(&mut talk.system);
            talk.say(true, parts);
        }
        if talk.turns.first().is_some_and(|turn| !turn.is_user) {
            dropped.field("messages[].role");
            talk.turns.insert(0, Spoken { is_user: true, parts: Vec::new() });
        }
        for turn in &mut talk.turns {
            talk.has_tools |= turn.parts.iter().any(|part| is_tool(part));
            if turn.is_user {
                turn.parts.sort_by_key(|part| !matches!(part.content, Content::ToolResult(_)));
            }
        }
        talk
    }

    fn say(&mut self, is_user: bool, parts: Vec<&'c Part<'a>>) {
        match self.turns.last_mut() {
            _ if parts.is_empty() => {}
            Some(last) if last.is_user == is_user => last.parts.extend(parts),
            _ => self.turns.push(Spoken { is_user, parts }),
        }
    }
}

// === impl Spoken ===

impl Spoken<'_, '_> {
    /// A text must stand beside a document, and something in every turn.
    pub(super) fn lacks_text(&self) -> bool {
        let is_document =
            |part: &&Part<'_>| matches!(&part.content, Content::Media(media) if media.kind == MediaKind::File);
        let is_text = |part: &&Part<'_>| matches!(&part.content, Content::Text { .. } | Content::Refusal(_));
        let mut parts = self.parts.iter().copied();
        parts.len() == 0 || parts.clone().any(|part| is_document(&part)) && !parts.any(|part| is_text(&part))
    }
}

fn is_tool(part: &Part<'_>) -> bool {
    matches!(part.content, Content::ToolCall(_) | Content::ToolResult(_))
}
