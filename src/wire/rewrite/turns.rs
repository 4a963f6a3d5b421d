//! What formats have in common that say a turn as a list of pieces: Gemini's parts, Converse's blocks.

use super::prompt::add;

/// What one side says, until the other one does.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Spoken {
    pub is_user: bool,
    /// Elements of a list.
    pub pieces: Vec<u8>,
}

/// A text, which comes as a JSON string.
pub(super) fn piece(quoted: &[u8]) -> Vec<u8> {
    [b"{\"text\":", quoted, b"}"].concat()
}

/// One side goes on, or the other one begins.
pub(super) fn say(spoken: &mut Vec<Spoken>, is_user: bool, pieces: &[u8]) {
    match spoken.last_mut() {
        Some(last) if last.is_user == is_user => add(&mut last.pieces, pieces, b","),
        _ => spoken.push(Spoken { is_user, pieces: pieces.to_vec() }),
    }
}

/// Turns as elements of a list; `model` is the word for the side that answers, `pieces` that for what is said.
pub(super) fn written<'p>(spoken: impl IntoIterator<Item = &'p Spoken>, model: &str, pieces: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for turn in spoken {
        let role = if turn.is_user { "user" } else { model };
        let head = format!("{{\"role\":\"{role}\",\"{pieces}\":[");
        add(&mut out, &[head.as_bytes(), &turn.pieces, b"]}"].concat(), b",");
    }
    out
}
