//! Ids that a provider would refuse, cut to what it takes: the same wherever they stand, and told apart as well
//! as before.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// The longest id of a user, of a cache or of a call that OpenAI takes, in bytes ("Expected a string with
/// maximum length 64").
const MOST: usize = 64;

/// The characters of [`short`].
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// An id that is too long keeps its beginning, and what tells it from others.
pub(super) fn fit(id: &str) -> Cow<'_, str> {
    fit_to(MOST, id)
}

/// As [`fit`], to another length of at least 17 bytes.
pub(super) fn fit_to(most: usize, id: &str) -> Cow<'_, str> {
    if id.len() <= most {
        return Cow::Borrowed(id);
    }
    // FNV-1a.
    let hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let end = (0..=most.saturating_sub(17)).rev().find(|&end| id.is_char_boundary(end)).unwrap_or(0);
    Cow::Owned(format!("{}-{hash:016x}", id.get(..end).unwrap_or_default()))
}

/// An id of nine letters and digits, for who takes no other.
pub(super) fn short(id: &str) -> Cow<'_, str> {
    if id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Cow::Borrowed(id);
    }
    let digest = Sha256::digest(id.as_bytes());
    let letter = |byte: &u8| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]);
    Cow::Owned(digest.iter().take(9).map(letter).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_fit_and_stay_themselves(id in ".{0,60}", most in 17_usize..80) {
            let fitted = fit_to(most, &id);
            prop_assert!(fitted.len() <= most.max(id.len().min(most)));
            prop_assert_eq!(fit_to(most, &fitted), fitted.clone());
            let short = short(&id);
            prop_assert!(short.len() == 9 && short.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn long_ids_with_one_beginning_are_told_apart() {
        let (a, b) = (format!("{}a", "x".repeat(90)), format!("{}b", "x".repeat(90)));
        assert_ne!(fit(&a), fit(&b));
        assert_ne!(short(&a), short(&b));
    }
}
