//! Places in an answer's text: Gemini counts bytes, the hub counts Unicode scalar values. As long as the
//! text is ASCII they are the same, and nothing is kept of it.

/// What is kept of a text from its first character beyond ASCII on, in bytes.
const KEPT: usize = 256 << 10;

/// The text of one answer so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Spoken {
    /// How much ASCII it begins with.
    plain: usize,
    rest: String,
    is_full: bool,
}

// === impl Spoken ===

impl Spoken {
    /// Bytes that are kept.
    pub fn held(&self) -> usize {
        self.rest.len()
    }

    pub fn push(&mut self, text: &str) {
        if self.rest.is_empty() && text.is_ascii() {
            self.plain = self.plain.saturating_add(text.len());
        } else if self.is_full || self.rest.len() + text.len() > KEPT {
            self.is_full = true;
        } else {
            self.rest.push_str(text);
        }
    }

    /// How many characters are in front of that byte; nothing where that is not known any more.
    pub fn characters(&self, byte: u64) -> Option<u64> {
        let Some(behind) = usize::try_from(byte).ok()?.checked_sub(self.plain) else { return Some(byte) };
        if behind > self.rest.len() {
            return (!self.is_full && self.rest.is_empty()).then_some(byte);
        }
        let count = self.rest.char_indices().take_while(|(at, _)| *at < behind).count();
        Some((self.plain + count) as u64)
    }

    /// How many bytes are in front of that character.
    pub fn bytes(&self, character: u64) -> Option<u64> {
        let Some(behind) = usize::try_from(character).ok()?.checked_sub(self.plain) else { return Some(character) };
        let bytes: usize = self.rest.chars().take(behind).map(char::len_utf8).sum();
        let all = self.rest.is_empty() || self.rest.chars().count() >= behind;
        (all && !(self.is_full && bytes == self.rest.len())).then_some((self.plain + bytes) as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_is_the_same_either_way(pieces in prop::collection::vec("[a-cé\u{1f600}]{0,5}", 0..6)) {
            let mut spoken = Spoken::default();
            pieces.iter().for_each(|piece| spoken.push(piece));
            let text = pieces.concat();
            for (characters, (bytes, _)) in text.char_indices().chain([(text.len(), ' ')]).enumerate() {
                prop_assert_eq!(spoken.characters(bytes as u64), Some(characters as u64));
                prop_assert_eq!(spoken.bytes(characters as u64), Some(bytes as u64));
            }
        }
    }

    #[test]
    fn what_is_not_kept_is_not_guessed() {
        let mut spoken = Spoken::default();
        spoken.push("ab");
        spoken.push("é");
        spoken.push(&"x".repeat(KEPT));
        assert_eq!((spoken.characters(4), spoken.characters(5)), (Some(3), None));
        assert_eq!((spoken.bytes(2), spoken.bytes(9)), (Some(2), None));
    }
}
