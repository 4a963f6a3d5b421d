//! What a request for images or sound says that its price depends on and that its answer may not
//! repeat: the size and quality of images, the characters to be spoken, the length of a WAV.

use crate::llm::{Media, Operation};

/// The fewest bytes of a second of sound: Opus at 6 kbit/s (RFC 6716, 2.1.1), below the 8 kbit/s of MP3.
pub const SOUND: u64 = 750;

/// The longest size or quality that is read.
const WORD: usize = 64;

/// A WAV with more chunks than this before its sound is not looked through.
const CHUNKS: usize = 64;

/// Reads it. `text` gives a field of the request by its name, where it is a text.
///
/// # Errors
/// Whatever `text` finds wrong with a field.
pub(super) fn read<E>(
    operation: Operation,
    text: impl Fn(&'static str) -> Result<Option<String>, E>,
) -> Result<Option<Box<Media>>, E> {
    let word = |name| Ok(text(name)?.filter(|word| word.len() <= WORD).map(String::into_boxed_str));
    Ok(Some(Box::new(match operation {
        Operation::Image => Media { size: word("size")?, quality: word("quality")?, ..Media::default() },
        Operation::Audio => {
            let characters = text("input")?.map_or(0, |input| input.chars().count());
            Media { characters: characters as u64, ..Media::default() }
        }
        _ => return Ok(None),
    })))
}

/// How long a WAV plays, in milliseconds, rounded up; 0 where it does not say or is none (RIFF, "Multimedia
/// Programming Interface and Data Specifications 1.0", 1991). The bytes that are there count: a file that
/// was written as it was recorded may claim to be endless. So does the rate that a decoder plays it at; the
/// bytes a second that the file states beside it are read by none, and could say anything.
pub(super) fn wav_ms(file: &[u8]) -> u64 {
    let (Some(b"RIFF"), Some(b"WAVE")) = (file.get(..4), file.get(8..12)) else { return 0 };
    let mut rest = &file[12..];
    let mut rate = None;
    for _ in 0..CHUNKS {
        let Some((head, body)) = rest.split_at_checked(8) else { return 0 };
        let length = word(head, 4).unwrap_or(0) as usize;
        match &head[..4] {
            b"fmt " => rate = rate.or_else(|| Some(bytes_a_second(body))),
            b"data" => {
                let heard = length.min(body.len()) as u64 * 1000;
                return rate.filter(|rate| *rate > 0).map_or(0, |rate| heard.div_ceil(rate));
            }
            _ => {}
        }
        // A chunk of odd length has a byte behind it that is not counted.
        rest = body.get(length.saturating_add(length & 1)..).unwrap_or_default();
    }
    0
}

/// Of samples that each take the same room; 0 for any other format. The product of 16, 32 and 16 bits fits.
fn bytes_a_second(format: &[u8]) -> u64 {
    /// PCM, floating point, A-law, mu-law, and whichever of them a longer head names.
    const PLAIN: [u64; 5] = [1, 3, 6, 7, 0xfffe];
    let half = |at| word(format, at).map_or(0, |both| both & 0xffff);
    let plain = PLAIN.contains(&half(0));
    let (channels, samples) = (half(2), word(format, 4).unwrap_or(0));
    let bits = word(format, 12).map_or(0, |both| both >> 16);
    if plain { channels * samples * bits / 8 } else { 0 }
}

/// The little-endian number at `at`.
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u64::from(u32::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_of(operation: Operation, fields: &[(&str, &str)]) -> Option<Media> {
        let text =
            |name| Ok::<_, ()>(fields.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()));
        read(operation, text).unwrap().map(|media| *media)
    }

    /// Chunks of a WAV of 16,000 bytes a second.
    fn wav(before: &[u8], claimed: u32, sound: usize) -> Vec<u8> {
        let format = [&[1, 0, 1, 0][..], &8000_u32.to_le_bytes(), &16_000_u32.to_le_bytes(), &[2, 0, 16, 0]].concat();
        let parts =
            [b"RIFF\0\0\0\0WAVEfmt ", &16_u32.to_le_bytes()[..], &format, before, b"data", &claimed.to_le_bytes()];
        [&parts.concat()[..], &vec![0; sound]].concat()
    }

    /// The same with as many bytes a second as there can be.
    fn lying(wav: &[u8]) -> Vec<u8> {
        [&wav[..28], &[0xff; 4], &wav[32..]].concat()
    }

    #[test]
    fn a_field_counts_where_its_operation_bills_by_it() {
        let said = [("size", "1024x1024"), ("quality", "hd"), ("input", "W\u{e4}sser \u{1f30a}")];
        let image = Media { size: Some("1024x1024".into()), quality: Some("hd".into()), ..Media::default() };
        assert_eq!(read_of(Operation::Image, &said), Some(image));
        assert_eq!(read_of(Operation::Audio, &said), Some(Media { characters: 8, ..Media::default() }));
        assert_eq!(read_of(Operation::Chat, &said), None);
        assert_eq!(read_of(Operation::Image, &[("size", &"9".repeat(65))]), Some(Media::default()));
        assert_eq!(read(Operation::Audio, Err::<Option<String>, _>), Err("input"));
    }

    #[test]
    fn a_wav_says_how_long_it_plays() {
        let list = [&b"LIST"[..], &3_u32.to_le_bytes(), b"abc\0"].concat();
        for (name, file, ms) in [
            ("a second and a half", wav(b"", 24_000, 24_000), 1500),
            ("rounded up", wav(b"", 1, 1), 1),
            ("an odd chunk before it", wav(&list, 16_000, 16_000), 1000),
            ("endless, it says", wav(b"", u32::MAX, 16_000), 1000),
            ("a rate that is only claimed", lying(&wav(b"", 24_000, 24_000)), 1500),
            (
                "a second format",
                wav(&[&b"fmt "[..], &16_u32.to_le_bytes(), &[0xff; 16]].concat(), 16_000, 16_000),
                1000,
            ),
            ("a packed format", [&wav(b"", 8, 8)[..20], &[2], &wav(b"", 8, 8)[21..]].concat(), 0),
            ("something behind it", wav(b"", 8_000, 16_000), 500),
            ("empty", wav(b"", 0, 0), 0),
            ("no sound", b"RIFF\0\0\0\0WAVE".to_vec(), 0),
            ("no WAV", b"ID3\x04 and so on and on".to_vec(), 0),
            ("nothing", Vec::new(), 0),
        ] {
            assert_eq!(wav_ms(&file), ms, "{name}");
        }
        let formless = [&b"RIFF\0\0\0\0WAVEdata"[..], &4_u32.to_le_bytes(), b"abcd"].concat();
        assert_eq!(wav_ms(&formless), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(file in proptest::collection::vec(any::<u8>(), 0..200), at in 0..60_usize, cut in 0..300_usize) {
            wav_ms(&[b"RIFF\0\0\0\0WAVE", &file[..]].concat());
            let mut sound = wav(b"", 240, 240);
            sound[at] = file.first().copied().unwrap_or_default();
            sound.truncate(cut);
            wav_ms(&sound);
        }
    }
}
