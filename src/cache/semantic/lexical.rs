//! The embedder that needs no weights: it counts the letters of a text three, four and five at a time, and its words.
//!
//! Texts are near to one another if they are spelt alike, whatever they mean: it finds near-duplicates (another case,
//! other punctuation, a word more or less), and hardly a paraphrase. Questions with opposite answers are nearer to one
//! another here than most paraphrases, so that nothing but the [`veto`](super::veto()) stands between them.

/// The dimensions of its vectors.
pub const DIMENSIONS: usize = 512;

/// Grams of that many letters; the spaces around words are letters too.
const GRAMS: std::ops::RangeInclusive<usize> = 3..=5;

/// Longer texts are only looked at up to here, in bytes: what is longer is vetoed anyway.
const LONGEST: usize = super::veto::LONGEST;

/// How much a word counts against a gram.
const WORD: f32 = 2.0;

/// The vector of a text, of length one; none for a text without a letter or digit.
///
/// The same text has the same vector on every machine and in every release of the same [`VERSION`].
pub fn embed(text: &str) -> Option<Vec<f32>> {
    let letters = normal(text);
    let mut vector = vec![0f32; DIMENSIONS];
    for size in GRAMS {
        letters.windows(size).for_each(|gram| count(&mut vector, hash(gram), 1.0));
    }
    for word in letters.split(|letter| *letter == ' ').filter(|word| !word.is_empty()) {
        count(&mut vector, hash(word), WORD);
    }
    let length = vector.iter().map(|component| component * component).sum::<f32>().sqrt();
    if length == 0.0 {
        return None;
    }
    vector.iter_mut().for_each(|component| *component /= length);
    Some(vector)
}

/// Changes whenever the vectors do; it belongs into the fingerprint.
pub const VERSION: &str = "lexical-1";

/// Small letters and digits, with one space between words and around them all.
fn normal(text: &str) -> Vec<char> {
    let mut letters = Vec::with_capacity(text.len().min(LONGEST) + 2);
    letters.push(' ');
    for (at, letter) in text.char_indices() {
        if at >= LONGEST {
            break;
        }
        if letter.is_alphanumeric() {
            letters.extend(letter.to_lowercase());
        } else if letters.last() != Some(&' ') {
            letters.push(' ');
        }
    }
    if letters.last() != Some(&' ') {
        letters.push(' ');
    }
    letters
}

/// Adds to the component that a hash says, up or down: what falls together by chance then cancels out.
fn count(vector: &mut [f32], hash: u64, weight: f32) {
    let sign = if hash >> 63 == 0 { weight } else { -weight };
    let at = usize::try_from(hash % DIMENSIONS as u64).unwrap_or_default();
    if let Some(component) = vector.get_mut(at) {
        *component += sign;
    }
}

/// FNV-1a over letters, with the bits mixed at the end (as MurmurHash3 does): its low bits alone are poor.
fn hash(letters: &[char]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for letter in letters {
        hash = (hash ^ u64::from(u32::from(*letter))).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Vector;
    use super::*;

    fn similarity(one: &str, other: &str) -> f32 {
        let vector = |text| Vector::new(&embed(text).unwrap()).unwrap();
        vector(one).similarity(&vector(other))
    }

    #[test]
    fn near_duplicates_are_near_and_other_texts_are_not() {
        assert_eq!(similarity("How do I sort a list?", "how do I  sort  a LIST"), 1.0);
        assert!(similarity("How do I sort a list in Python?", "How do I sort a list in Python please?") > 0.85);
        assert!(similarity("How do I sort a list?", "What is the capital of France?") < 0.3);
        assert_eq!(similarity("Straße Ärger", "straße, ärger"), 1.0);
        for nothing in ["", " \n", "?!", "→"] {
            assert_eq!(embed(nothing), None, "{nothing}");
        }
    }

    /// Vectors are kept in stores, beyond a release.
    #[test]
    fn a_vector_is_the_same_in_every_release() {
        let vector = embed("the weir").unwrap();
        let largest: Vec<usize> = (0..DIMENSIONS).filter(|at| vector[*at].abs() > 0.3).collect();
        let down: Vec<usize> = (0..DIMENSIONS).filter(|at| vector[*at] < 0.0).collect();
        assert_eq!((VERSION, largest), ("lexical-1", vec![201, 488]));
        assert_eq!(down, [12, 47, 118, 120, 184, 221, 342, 424]);
        assert!((vector.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn every_text_has_a_vector_or_nothing_to_say(text in any::<String>()) {
            prop_assert_eq!(embed(&text).is_some(), text.contains(char::is_alphanumeric));
            prop_assert!(embed(&text).is_none_or(|vector| Vector::new(&vector).is_ok()));
        }
    }
}
