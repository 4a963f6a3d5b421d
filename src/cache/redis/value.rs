//! An answer as a value of the store: when it was kept, for how long, and its bytes, compressed where that helps.
//!
//! The content that is sealed, its numbers with the least byte first: in 8 bytes when it was stored, in Unix seconds;
//! in 8 how many seconds it may be read; in 4 how many bytes the answer has; in 1 whether what follows is the answer
//! itself (0) or a Zstandard frame of it (1).

use std::time::Duration;

use bytes::Bytes;

use super::Bad;
use super::seal::{self, AtRest, NONCE};
use crate::cache::Entry;

/// The most that a value has beyond the answer's bytes.
pub(super) const OVERHEAD: usize = HEAD + seal::OVERHEAD;
const HEAD: usize = 8 + 8 + 4 + 1;

const RAW: u8 = 0;
const ZSTD: u8 = 1;
/// Twice as fast as the default, and a few percent larger.
const LEVEL: i32 = 1;
/// A frame's head and tables cost what is saved of less.
const WORTH: usize = 128;

/// The value of an entry under this name; none where it is larger than `most` bytes. The nonce is by chance.
pub(super) fn encode(at_rest: &AtRest, name: &str, entry: &Entry, most: usize, nonce: [u8; NONCE]) -> Option<Vec<u8>> {
    let length = u32::try_from(entry.bytes.len()).ok().filter(|_| entry.bytes.len() <= most)?;
    let mut content = Vec::with_capacity(HEAD + entry.bytes.len());
    content.extend_from_slice(&entry.stored.to_le_bytes());
    content.extend_from_slice(&entry.ttl.as_secs().to_le_bytes());
    content.extend_from_slice(&length.to_le_bytes());
    match compress(&entry.bytes) {
        Some(frame) => {
            content.push(ZSTD);
            content.extend_from_slice(&frame);
        }
        None => {
            content.push(RAW);
            content.extend_from_slice(&entry.bytes);
        }
    }
    at_rest.seal(name.as_bytes(), &content, nonce)
}

/// The entry that lies under this name, of at most so many bytes.
///
/// # Errors
/// Where it is none.
pub(super) fn decode(at_rest: &AtRest, name: &str, value: Vec<u8>, most: usize) -> Result<Entry, Bad> {
    let content = Bytes::from(at_rest.open(name.as_bytes(), value)?);
    let (numbers, bytes) = content.split_at_checked(HEAD).ok_or(Bad::Broken)?;
    let number = |from: usize| Some(u64::from_le_bytes(numbers.get(from..from + 8)?.try_into().ok()?));
    let (stored, ttl) = number(0).zip(number(8)).ok_or(Bad::Broken)?;
    let length = numbers.get(16..20).and_then(|length| length.try_into().ok()).map(u32::from_le_bytes);
    let length = usize::try_from(length.ok_or(Bad::Broken)?).map_err(|_| Bad::Broken)?;
    if length > most || ttl == 0 {
        return Err(Bad::Broken);
    }
    let bytes = match numbers.last() {
        Some(&RAW) if bytes.len() == length => content.slice(HEAD..),
        Some(&ZSTD) => decompress(bytes, length).ok_or(Bad::Broken)?,
        _ => return Err(Bad::Broken),
    };
    Ok(Entry { bytes, stored, ttl: Duration::from_secs(ttl) })
}

/// None where it does not help.
fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    // What is no smaller has no room and is an error.
    let mut frame = vec![0; bytes.len().checked_sub(WORTH)?];
    let length = zstd_safe::compress(&mut frame[..], bytes, LEVEL).ok()?;
    frame.truncate(length);
    Some(frame)
}

/// It has exactly this length. No more than that is ever made of it.
fn decompress(frame: &[u8], length: usize) -> Option<Bytes> {
    let mut bytes = vec![0; length];
    let made = zstd_safe::decompress(&mut bytes[..], frame).ok()?;
    (made == length).then(|| bytes.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::seal::Keys;
    use super::*;
    use crate::base::secret::Secret;

    const MOST: usize = 1 << 20;

    fn sealed() -> AtRest {
        AtRest::Sealed(Keys::read(&Secret::new(&"5a".repeat(32))).unwrap())
    }

    fn entry(bytes: &[u8]) -> Entry {
        Entry { bytes: Bytes::copy_from_slice(bytes), stored: 1_790_000_000, ttl: Duration::from_secs(60) }
    }

    /// The content as somebody with the key writes it.
    fn content(stored: u64, ttl: u64, length: u32, form: u8, bytes: &[u8]) -> Vec<u8> {
        [&stored.to_le_bytes()[..], &ttl.to_le_bytes(), &length.to_le_bytes(), &[form], bytes].concat()
    }

    fn read(content: &[u8], most: usize) -> Result<Entry, Bad> {
        let value = sealed().seal(b"n", content, [1; NONCE]).unwrap();
        decode(&sealed(), "n", value, most)
    }

    #[test]
    fn text_is_smaller_than_it_is_and_noise_no_larger_than_it_may_be() {
        let text = b"It is what is said again and again, and so it is said in short. ".repeat(1_000);
        let mut noise = vec![0; 64_000];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        for (bytes, most) in [(&text, text.len() / 50), (&noise, noise.len() + OVERHEAD), (&vec![], OVERHEAD)] {
            let value = encode(&sealed(), "n", &entry(bytes), MOST, [1; NONCE]).unwrap();
            assert!(value.len() <= most, "{}", value.len());
            assert_eq!(decode(&sealed(), "n", value, MOST), Ok(entry(bytes)));
        }
    }

    /// Whoever has the key, or an older version that had no bound, may have written anything.
    #[test]
    fn nothing_is_made_that_is_larger_than_what_may_be() {
        let mut bomb = vec![0; 1 << 20];
        let length = zstd_safe::compress(&mut bomb[..], &vec![0; 64 << 20], LEVEL).unwrap();
        bomb.truncate(length);
        assert!(bomb.len() < 16 << 10);
        for length in [0, 1, 1 << 19, MOST as u32, MOST as u32 + 1, 64 << 20, u32::MAX] {
            assert_eq!(read(&content(1, 1, length, ZSTD, &bomb), MOST), Err(Bad::Broken), "{length}");
        }
        assert_eq!(read(&content(1, 1, 64 << 20, ZSTD, &bomb), 64 << 20).unwrap().bytes.len(), 64 << 20);
        assert_eq!(encode(&sealed(), "n", &entry(&[1; 33]), 32, [1; NONCE]), None);
        assert_eq!(read(&content(1, 1, 33, RAW, &[1; 33]), 32), Err(Bad::Broken));
    }

    #[test]
    fn what_is_no_entry_is_none() {
        for content in [
            vec![],
            content(1, 1, 2, RAW, b"a"),
            content(1, 1, 1, RAW, b"ab"),
            content(1, 0, 1, RAW, b"a"),
            content(1, 1, 1, 2, b"a"),
            content(1, 1, 1, ZSTD, b"a"),
            content(1, 1, 0, RAW, b"")[..HEAD - 1].to_vec(),
        ] {
            assert_eq!(read(&content, MOST), Err(Bad::Broken), "{content:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_is_found(
            bytes in prop_oneof![any::<Vec<u8>>(), "[ab ]{0,2000}".prop_map(String::into_bytes)],
            stored in any::<u64>(),
            ttl in 1..=u64::MAX,
            nonce in any::<[u8; NONCE]>(),
            name in any::<String>(),
        ) {
            let entry = Entry { bytes: bytes.into(), stored, ttl: Duration::from_secs(ttl) };
            for at_rest in [AtRest::Plain, sealed()] {
                let value = encode(&at_rest, &name, &entry, MOST, nonce).unwrap();
                prop_assert!(value.len() <= entry.bytes.len() + OVERHEAD);
                prop_assert_eq!(decode(&at_rest, &name, value, MOST), Ok(entry.clone()));
            }
        }

        #[test]
        fn any_content_is_looked_at(content in any::<Vec<u8>>(), form in 0..3_u8, length in 0..300_u32) {
            let _ = read(&content, MOST);
            let _ = read(&self::content(1, 1, length, form, &content), MOST);
            let _ = decode(&AtRest::Plain, "n", content, MOST);
        }
    }
}
