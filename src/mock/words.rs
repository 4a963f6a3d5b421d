//! The text the mock says: a fixed round of words of equal byte length, each exactly one token of
//! `o200k_base` wherever it stands, so that bytes per token is exact. A test holds this against the
//! real tokenizer.

/// Bytes of one word, its leading space included.
pub const WORD_BYTES: usize = 5;

/// The round. A word starts with a space, which makes it a piece of its own for the tokenizer, so
/// that no merge reaches over its ends.
pub const WORDS: [&str; 16] = [
    " time", " year", " good", " work", " life", " made", " down", " back", " part", " hand", " home", " line",
    " book", " data", " city", " road",
];

/// Appends the words number `from` to `from + count` of choice `choice`. Each choice starts at another
/// word, so that the choices of one answer differ.
pub fn append(out: &mut Vec<u8>, choice: u32, from: u64, count: u64) {
    for n in from..from.saturating_add(count) {
        let at = usize::try_from(n.wrapping_add(u64::from(choice)) % 16).unwrap_or(0);
        out.extend_from_slice(WORDS.get(at).map_or(b" time", |word| word.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_one_token_in_any_sequence() {
        let bpe = tiktoken_rs::o200k_base_singleton();
        for word in WORDS {
            assert_eq!(word.len(), WORD_BYTES);
            assert_eq!(bpe.encode_ordinary(word).len(), 1, "{word:?}");
        }
        for a in WORDS {
            for b in WORDS {
                let tokens = bpe.encode_ordinary(&format!("{a}{b}"));
                let alone = [bpe.encode_ordinary(a), bpe.encode_ordinary(b)].concat();
                assert_eq!(tokens, alone, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_text_has_as_many_tokens_as_words() {
        let bpe = tiktoken_rs::o200k_base_singleton();
        for count in [0, 1, 15, 16, 17, 300] {
            let mut text = Vec::new();
            append(&mut text, 3, 5, count);
            let text = String::from_utf8(text).unwrap();
            assert_eq!(bpe.encode_ordinary(&text).len() as u64, count);
            assert_eq!(text.len() as u64, count * WORD_BYTES as u64);
        }
    }
}
