//! Questions that were asked, by their vectors: fields of a hash of one place and fingerprint, each sealed like an
//! answer, for a vector tells its question to whoever has the model.
//!
//! A field is called by when it was stored and when it ends, in Unix seconds of twelve digits each, so that their
//! order is that of time; then the key of the answer in its 32 bytes. A value that was moved to another field does not
//! open, so neither can be changed. Its content is the number of dimensions in 2 bytes, so many numbers of 4, and the
//! question.

use std::sync::Arc;
use std::time::Duration;

use super::Bad;
use super::seal::{self, AtRest, NONCE};
use crate::cache::Key;

/// The dimensions of a vector at most.
pub const DIMENSIONS: usize = 8_192;
/// The bytes of a question at most.
pub const QUESTION: usize = 8 << 10;
/// The bytes of a value at most.
pub(super) const MOST: usize = seal::OVERHEAD + 2 + 4 * DIMENSIONS + QUESTION;

/// The length of a field's name.
pub(super) const FIELD: usize = 2 * DIGITS + 32;
const DIGITS: usize = 12;

/// A question and what answers it.
#[derive(Clone, PartialEq)]
pub struct Vector {
    /// Of the answer.
    pub key: Key,
    pub values: Arc<[f32]>,
    /// The last text of the user, for vetoes.
    pub question: Arc<str>,
    /// When it was stored, in seconds since the Unix epoch.
    pub stored: u64,
    /// How long it may be used, from then on; whole seconds, at least one.
    pub ttl: Duration,
}

// === impl Vector ===

impl Vector {
    /// When it ends, in Unix seconds.
    pub(super) fn ends(&self) -> u64 {
        self.stored.saturating_add(self.ttl.as_secs())
    }

    /// What its field is called; none where its times are none of this age.
    pub(super) fn field(&self) -> Option<Vec<u8>> {
        let times = format!("{:0DIGITS$}{:0DIGITS$}", self.stored, self.ends());
        (times.len() == 2 * DIGITS && !self.ttl.is_zero()).then(|| [times.as_bytes(), &self.key.0].concat())
    }

    /// Its value in this field of the hash of this name; none where it is larger than one may be. The nonce is by
    /// chance.
    pub(super) fn encode(&self, at_rest: &AtRest, name: &str, field: &[u8], nonce: [u8; NONCE]) -> Option<Vec<u8>> {
        if self.values.len() > DIMENSIONS || self.question.len() > QUESTION {
            return None;
        }
        let mut content = Vec::with_capacity(2 + 4 * self.values.len() + self.question.len());
        content.extend_from_slice(&u16::try_from(self.values.len()).ok()?.to_le_bytes());
        content.extend(self.values.iter().flat_map(|value| value.to_le_bytes()));
        content.extend_from_slice(self.question.as_bytes());
        at_rest.seal(&within(name, field), &content, nonce)
    }

    /// What lies in this field.
    ///
    /// # Errors
    /// Where that is no vector.
    pub(super) fn decode(at_rest: &AtRest, name: &str, field: &[u8], value: Vec<u8>) -> Result<Vector, Bad> {
        if field.len() != FIELD || value.len() > MOST {
            return Err(Bad::Foreign);
        }
        let (times, key) = field.split_at_checked(2 * DIGITS).ok_or(Bad::Foreign)?;
        let key = Key(key.try_into().map_err(|_| Bad::Foreign)?);
        let (stored, ends) = times.split_at_checked(DIGITS).ok_or(Bad::Foreign)?;
        let (stored, ends) = (seconds(stored).ok_or(Bad::Foreign)?, seconds(ends).ok_or(Bad::Foreign)?);
        let ttl = ends.checked_sub(stored).filter(|ttl| *ttl > 0).ok_or(Bad::Foreign)?;
        let content = at_rest.open(&within(name, field), value)?;
        let (count, rest) = content.split_first_chunk().ok_or(Bad::Broken)?;
        let (values, question) =
            rest.split_at_checked(4 * usize::from(u16::from_le_bytes(*count))).ok_or(Bad::Broken)?;
        let values = values.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
        let question = std::str::from_utf8(question).map_err(|_| Bad::Broken)?.into();
        Ok(Vector { key, values, question, stored, ttl: Duration::from_secs(ttl) })
    }
}

/// Without the question: it is somebody's.
impl std::fmt::Debug for Vector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Vector { key, values, question, stored, ttl } = self;
        write!(f, "Vector({key}, {} dimensions, {} bytes, {stored}, {ttl:?})", values.len(), question.len())
    }
}

/// What the value of a field is sealed under: no hash's name has a zero in it.
fn within(name: &str, field: &[u8]) -> Vec<u8> {
    [name.as_bytes(), &[0], field].concat()
}

fn seconds(digits: &[u8]) -> Option<u64> {
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::seal::Keys;
    use super::*;
    use crate::base::secret::Secret;

    fn sealed() -> AtRest {
        AtRest::Sealed(Keys::read(&Secret::new(&"5a".repeat(32))).unwrap())
    }

    fn vector(values: Vec<f32>, question: &str, stored: u64, ttl: u64) -> Vector {
        let (values, question) = (values.into(), question.into());
        Vector { key: Key([7; 32]), values, question, stored, ttl: Duration::from_secs(ttl) }
    }

    #[test]
    fn what_is_too_large_or_of_no_age_is_not_kept() {
        let of = |values, question, stored, ttl| {
            let vector = vector(vec![0.5; values], &"a".repeat(question), stored, ttl);
            let field = vector.field()?;
            vector.encode(&sealed(), "n", &field, [0; NONCE]).map(|value| value.len())
        };
        assert_eq!(of(DIMENSIONS, QUESTION, 1, 1), Some(MOST));
        assert_eq!(of(DIMENSIONS + 1, 1, 1, 1), None);
        assert_eq!(of(1, QUESTION + 1, 1, 1), None);
        assert_eq!(of(1, 1, 1, 0), None);
        assert_eq!(of(1, 1, 999_999_999_999, 1), None);
        assert_eq!(of(1, 1, u64::MAX, u64::MAX), None);
    }

    /// The order of fields is that of time, and a field that is changed is no longer that of its value.
    #[test]
    fn times_are_those_of_the_field() {
        let (one, two) = (vector(vec![1.0], "a", 999, 5), vector(vec![1.0], "a", 1_000, 1));
        let (field, other) = (one.field().unwrap(), two.field().unwrap());
        assert!(field < other);
        let value = one.encode(&sealed(), "n", &field, [0; NONCE]).unwrap();
        assert_eq!(Vector::decode(&sealed(), "n", &field, value.clone()), Ok(one));
        assert_eq!(Vector::decode(&sealed(), "n", &other, value.clone()), Err(Bad::Broken));
        assert_eq!(Vector::decode(&sealed(), "m", &field, value), Err(Bad::Broken));
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_is_found(
            values in prop::collection::vec(-1.0_f32..1.0, 0..64),
            question in any::<String>(),
            stored in 0..4_000_000_000_u64,
            ttl in 1..1_000_000_u64,
        ) {
            let vector = vector(values, &question, stored, ttl);
            let field = vector.field().unwrap();
            for at_rest in [AtRest::Plain, sealed()] {
                let value = vector.encode(&at_rest, "n", &field, [1; NONCE]).unwrap();
                prop_assert_eq!(Vector::decode(&at_rest, "n", &field, value), Ok(vector.clone()));
            }
            let shown = format!("{vector:?}");
            prop_assert!(question.len() < 20 || !shown.contains(&question));
        }

        #[test]
        fn anything_is_looked_at(field in any::<Vec<u8>>(), times in "[0-9]{24}", content in any::<Vec<u8>>()) {
            let proper = [times.as_bytes(), &[1; 32]].concat();
            for field in [&field, &proper] {
                let value = AtRest::Plain.seal(&within("n", field), &content, [0; NONCE]).unwrap();
                let _ = Vector::decode(&AtRest::Plain, "n", field, value);
                let _ = Vector::decode(&sealed(), "n", field, content.clone());
            }
        }
    }
}
