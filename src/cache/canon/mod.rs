//! What an answer depends on, in one form whatever it was written in: two calls have the same [`Digest`] if and only
//! if the same answer may be given to both.
//!
//! A chat that the canonical words can say without a loss is taken in those words, so that it is the same in each
//! API. Any other one is taken as the JSON that its client wrote, without the order of keys and white space, under
//! the name of its format. What only says in which form the answer comes (`stream`), or what a prompt costs
//! (marks of the provider's own cache), changes no answer and is in neither.

mod chat;
mod hash;
mod items;
mod json;

pub use items::of_inputs;
#[cfg(test)]
mod tests;

use crate::base::json::Tree;
use crate::llm::chat::Role;
use crate::llm::{Chat, Content, Format};
use hash::Canon;

/// 256 bits of BLAKE3 over what an answer depends on. It is keyed where it becomes a [`Key`](super::Key).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

/// What answers, and what it is told beside the body.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The backend's id, and where it is: another place under the same name is another backend.
    pub backend: &'a str,
    pub authority: &'a str,
    pub prefix: &'a str,
    /// The model name that leaves.
    pub model: &'a str,
    /// Headers that leave and change an answer, and their values, in the order of their names.
    pub headers: &'a [(&'a str, &'a str)],
    /// What leaves in the query and changes an answer; no credential is in it.
    pub query: &'a str,
}

/// A question apart from everything around it, for who looks for one that is alike.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// Of all but the text: what differs here has another answer, however alike the texts are.
    pub fingerprint: Digest,
    /// What the user said last.
    pub text: String,
}

/// The digest of a chat of which nothing is missing in these words; none where a text of it may stand for several
/// that were written.
pub fn of_chat(around: Around<'_>, chat: &Chat<'_>) -> Option<Digest> {
    let mut canon = Canon::new(CALL);
    around.put(&mut canon);
    canon.tag(1);
    chat::put(chat, None, &mut canon);
    (!canon.is_doubtful()).then(|| Digest(canon.finish()))
}

/// The digest of a whole body, in this format.
pub fn of_json(around: Around<'_>, body: &Tree<'_>, format: Format) -> Digest {
    let mut canon = Canon::new(CALL);
    around.put(&mut canon);
    canon.tag(2);
    canon.text(format.as_str());
    json::put_body(body.root(), &mut canon);
    Digest(canon.finish())
}

/// The question of a chat, and the fingerprint of the rest; none where the user did not speak last, or not in text.
pub fn question(around: Around<'_>, chat: &Chat<'_>) -> Option<Question> {
    let (last, turn) = chat.turns.iter().enumerate().next_back().filter(|(_, turn)| turn.role == Role::User)?;
    let mut text = String::new();
    for part in &turn.parts {
        let Content::Text { text: piece, .. } = &part.content else { return None };
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(piece);
    }
    if text.trim().is_empty() {
        return None;
    }
    let mut canon = Canon::new(QUESTION);
    around.put(&mut canon);
    chat::put(chat, Some(last), &mut canon);
    (!canon.is_doubtful()).then(|| Question { fingerprint: Digest(canon.finish()), text })
}

/// What the two hashes are of. The number changes with what is hashed, and all that was kept is not found any more.
const CALL: &[u8] = b"weir cache call 2";
const QUESTION: &[u8] = b"weir cache question 3";

// === impl Around ===

impl Around<'_> {
    fn put(&self, canon: &mut Canon) {
        let Around { backend, authority, prefix, model, headers, query } = *self;
        [backend, authority, prefix, model, query].into_iter().for_each(|text| canon.text(text));
        canon.count(headers.len());
        for (name, value) in headers {
            canon.text(name);
            canon.text(value);
        }
    }
}

// === impl Question ===

/// Without the text: it is somebody's prompt.
impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Question({:?}, {} bytes)", self.fingerprint, self.text.len())
    }
}
