//! What is forgotten at once: the answers of everybody, of a namespace, or of those who read one another's.

use std::sync::Arc;

use super::key::{Place, Tag};

/// Which entries are meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Extent {
    All,
    /// Of the documents of this namespace.
    Namespace(Arc<str>),
    Place(Place),
}

// === impl Extent ===

impl Extent {
    /// Whether what is kept there is meant.
    pub fn covers(&self, place: &Place) -> bool {
        match self {
            Extent::All => true,
            Extent::Namespace(namespace) => *namespace == place.namespace,
            Extent::Place(one) => one == place,
        }
    }

    /// Itself and all larger ones of which it is a part.
    pub fn of(place: &Place) -> [Extent; 3] {
        [Extent::All, Extent::Namespace(Arc::clone(&place.namespace)), Extent::Place(place.clone())]
    }
}

/// As replicas tell it one another: `*`, `NAMESPACE` or `NAMESPACE:TAG`; see [`name`].
impl std::fmt::Display for Extent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Extent::All => f.write_str("*"),
            Extent::Namespace(namespace) => f.write_str(&name(namespace)),
            Extent::Place(place) => write!(f, "{}:{}", name(&place.namespace), place.tag),
        }
    }
}

impl std::str::FromStr for Extent {
    type Err = Unread;

    fn from_str(text: &str) -> Result<Extent, Unread> {
        if text == "*" {
            return Ok(Extent::All);
        }
        let (namespace, tag) = text.split_once(':').map_or((text, None), |(namespace, tag)| (namespace, Some(tag)));
        let namespace = unname(namespace).ok_or(Unread)?.into();
        Ok(match tag {
            None => Extent::Namespace(namespace),
            Some(tag) => Extent::Place(Place { namespace, tag: read_tag(tag).ok_or(Unread)? }),
        })
    }
}

/// It is no extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is none of *, NAMESPACE and NAMESPACE:TAG")]
pub struct Unread;

/// A namespace as it stands in names of keys: letters, digits and `-_.` stand for themselves, any other byte is
/// `%` and two digits. So it has no colon, no brace and nothing that is a pattern.
pub(super) fn name(namespace: &str) -> String {
    let mut name = String::with_capacity(namespace.len());
    for byte in namespace.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name
}

/// The namespace of this name, which nothing else has.
fn unname(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first == b'%' {
            let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = behind.get(2..)?;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok().filter(|namespace| name(namespace) == text)
}

fn read_tag(text: &str) -> Option<Tag> {
    let mut tag = [0; 16];
    for (byte, digits) in tag.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(Tag(tag)).filter(|tag| tag.to_string() == text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(namespace: &str, tag: u8) -> Place {
        Place { namespace: namespace.into(), tag: Tag([tag; 16]) }
    }

    #[test]
    fn an_extent_covers_its_own() {
        let (a, b) = (place("a", 1), place("a", 2));
        for (extent, covers) in [
            (Extent::All, [true, true, true]),
            (Extent::Namespace("a".into()), [true, true, false]),
            (Extent::Place(a.clone()), [true, false, false]),
        ] {
            assert_eq!([&a, &b, &place("b", 1)].map(|place| extent.covers(place)), covers, "{extent}");
            assert_eq!(Extent::of(&a).contains(&extent), extent.covers(&a));
        }
    }

    proptest! {
        /// What is said is what is understood, and nothing else is.
        #[test]
        fn an_extent_is_read_as_it_is_written(namespace in any::<String>(), tag in any::<[u8; 16]>()) {
            let place = Place { namespace: namespace.as_str().into(), tag: Tag(tag) };
            for extent in Extent::of(&place) {
                prop_assert_eq!(extent.to_string().parse(), Ok(extent));
            }
        }

        #[test]
        fn what_is_no_extent_is_refused(text in any::<String>()) {
            if let Ok(extent) = text.parse::<Extent>() {
                prop_assert_eq!(extent.to_string(), text);
            }
        }
    }
}
