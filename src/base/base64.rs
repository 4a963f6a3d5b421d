//! Standard base64 (RFC 4648, section 4), as far as wire formats need it. Not for secrets: it takes a time
//! that depends on what it reads.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// No digit.
const NONE: u8 = 0xff;

/// The value of each digit. Those of the URL-safe alphabet are read as well.
const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut at = 0;
    while at < 64 {
        values[DIGITS[at] as usize] = at as u8;
        at += 1;
    }
    values[b'-' as usize] = 62;
    values[b'_' as usize] = 63;
    values
};

/// With padding.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// The bytes that `text` stands for, with its padding or without; nothing for what is no base64.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let padded = text.len();
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    if padded != text.len() && !padded.is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for four in text.chunks(4) {
        let mut bits = 0;
        for &digit in four {
            let value = VALUES[usize::from(digit)];
            if value == NONE {
                return None;
            }
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - four.len());
        let [_, made @ ..] = bits.to_be_bytes();
        match four.len() {
            4 => bytes.extend_from_slice(&made),
            3 => bytes.extend_from_slice(&made[..2]),
            2 => bytes.push(made[0]),
            _ => return None,
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_spells_the_examples_of_the_rfc() {
        let rows = [
            "", "", "f", "Zg==", "fo", "Zm8=", "foo", "Zm9v", "foob", "Zm9vYg==", "fooba", "Zm9vYmE=", "foobar",
            "Zm9vYmFy",
        ];
        for row in rows.chunks(2) {
            assert_eq!(encode(row[0].as_bytes()), row[1]);
            assert_eq!(decode(row[1].as_bytes()).as_deref(), Some(row[0].as_bytes()));
            assert_eq!(decode(row[1].trim_end_matches('=').as_bytes()).as_deref(), Some(row[0].as_bytes()));
        }
        for bad in ["Z", "Zg=", "Zg===", "Z g=", "Zm9v\n", "=", "Zm9vY", "é"] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(decode(encode(&bytes).as_bytes()), Some(bytes));
        }

        #[test]
        fn no_text_panics(text in prop::collection::vec(any::<u8>(), 0..16)) {
            let _ = decode(&text);
        }
    }
}
