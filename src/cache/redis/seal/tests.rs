//! What opens, and what does not.

use proptest::prelude::*;

use super::*;

const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn keys(text: &str) -> Keys {
    Keys::read(&Secret::new(text)).unwrap()
}

fn sealed(byte: u8) -> AtRest {
    AtRest::Sealed(keys(&format!("{byte:02x}").repeat(32)))
}

#[test]
fn a_key_is_written_in_digits_or_in_base64() {
    for text in [HEX, &HEX.to_uppercase(), BASE64, BASE64.trim_end_matches('='), &format!("\n{HEX}\r\n\n")] {
        let value = AtRest::Sealed(keys(text)).seal(b"n", b"content", [7; NONCE]).unwrap();
        assert_eq!(AtRest::Sealed(keys(HEX)).open(b"n", value), Ok(b"content".to_vec()), "{text}");
    }
    let many = format!("{HEX}\n").repeat(MOST + 1);
    for (text, why) in [
        ("", BadKeys::None),
        (" \n ", BadKeys::None),
        ("secret", BadKeys::Line(1)),
        (&HEX[1..], BadKeys::Line(1)),
        (&HEX.replace('0', "g"), BadKeys::Line(1)),
        (&format!("{HEX}\n{HEX}00"), BadKeys::Line(2)),
        (&many, BadKeys::TooMany),
    ] {
        assert_eq!(Keys::read(&Secret::new(text)).err(), Some(why), "{text:?}");
        assert!(text.trim().is_empty() || !why.to_string().contains(text));
    }
    assert_eq!(format!("{:?}", keys(HEX)), "Keys(1)");
}

/// The next key is put in front of the last one, which still opens what it sealed.
#[test]
fn keys_are_changed_without_losing_what_they_sealed() {
    let (old, new) = ("11".repeat(32), "22".repeat(32));
    let value = AtRest::Sealed(keys(&old)).seal(b"n", b"c", [0; NONCE]).unwrap();
    let both = AtRest::Sealed(keys(&format!("{new}\n{old}")));
    assert_eq!(both.open(b"n", value.clone()), Ok(b"c".to_vec()));
    assert_eq!(AtRest::Sealed(keys(&new)).open(b"n", value), Err(Bad::Foreign));
    let value = both.seal(b"n", b"c", [0; NONCE]).unwrap();
    assert_eq!(AtRest::Sealed(keys(&new)).open(b"n", value), Ok(b"c".to_vec()));
}

/// So that who has the new key already finds what was kept, and what is kept, by those who do not have it yet.
#[test]
fn a_new_key_in_front_changes_no_name() {
    let (old, new) = ("11".repeat(32), "22".repeat(32));
    let place = |lines: &str| {
        let partition = crate::cache::Partition::Shared;
        AtRest::Sealed(keys(lines)).secret("weir").place(&"n".into(), &partition, crate::cache::Digest([3; 32]))
    };
    assert_eq!(place(&format!("{new}\n{old}")), place(&old));
    assert_ne!(place(&new), place(&old));
}

#[test]
fn what_is_not_sealed_is_not_taken_for_it() {
    let plain = AtRest::Plain.seal(b"n", b"c", [0; NONCE]).unwrap();
    assert_eq!(sealed(1).open(b"n", plain.clone()), Err(Bad::Foreign));
    assert_eq!(AtRest::Plain.open(b"n", plain), Ok(b"c".to_vec()));
    let value = sealed(1).seal(b"n", b"c", [0; NONCE]).unwrap();
    assert_eq!(AtRest::Plain.open(b"n", value), Err(Bad::Foreign));
}

proptest! {
    #[test]
    fn what_was_sealed_opens_under_its_name_alone(
        name in any::<Vec<u8>>(),
        other in any::<Vec<u8>>(),
        content in any::<Vec<u8>>(),
        nonce in any::<[u8; NONCE]>(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u32,
    ) {
        for at_rest in [AtRest::Plain, sealed(9)] {
            let value = at_rest.seal(&name, &content, nonce).unwrap();
            prop_assert!(value.len() <= content.len() + OVERHEAD);
            prop_assert_eq!(at_rest.open(&name, value.clone()), Ok(content.clone()));
            if other != name {
                prop_assert_eq!(at_rest.open(&other, value.clone()), Err(Bad::Broken));
            }
            let mut spoilt = value.clone();
            spoilt[at.index(value.len())] ^= 1 << bit;
            prop_assert!(at_rest.open(&name, spoilt).is_err());
            for short in [at.index(value.len()), value.len() - 1] {
                prop_assert!(at_rest.open(&name, value[..short].to_vec()).is_err());
            }
        }
        let sealed = sealed(9).seal(&name, &[&[b'P'; 24][..], &content].concat(), nonce).unwrap();
        prop_assert!(!sealed.windows(24).any(|part| part == [b'P'; 24]));
    }

    #[test]
    fn any_bytes_are_looked_at(name in any::<Vec<u8>>(), value in any::<Vec<u8>>(), kind in 0..4_u8) {
        for value in [value.clone(), [&[kind][..], &value].concat()] {
            prop_assert!(sealed(3).open(&name, value.clone()).is_err());
            prop_assert!(AtRest::Plain.open(&name, value).is_err());
        }
    }
}
