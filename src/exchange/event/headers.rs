//! The fields of a head, as they came.

use std::fmt;

/// Header fields without the pseudo headers, names in lower case, in order. They lie behind one
/// another in one piece of memory: a head has many, and most are never looked at.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    bytes: Vec<u8>,
    /// Where each name ends, and its value, which follows it.
    ends: Vec<(usize, usize)>,
}

// === impl Headers ===

/// Names alone: the values are a caller's credentials as often as not.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut headers = Headers::default();
        fields.into_iter().for_each(|(name, value)| headers.push(name.as_ref(), value.as_ref()));
        headers
    }
}

impl Headers {
    /// Makes room for fields of so many bytes together, so that they cost two allocations.
    pub fn reserve(&mut self, bytes: usize) {
        /// As many fields as most heads have.
        const FIELDS: usize = 16;
        self.bytes.reserve(bytes);
        self.ends.reserve(FIELDS);
    }

    /// Adds a field behind the others.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        self.bytes.extend_from_slice(name.as_bytes());
        let name_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((name_end, self.bytes.len()));
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.raw().map(|(name, value)| (std::str::from_utf8(name).unwrap_or_default(), value))
    }

    /// True when there is a field `name`, whatever its value.
    pub fn contains(&self, name: &str) -> bool {
        self.raw().any(|(key, _)| key == name.as_bytes())
    }

    /// The first value of `name`, if it is UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.raw().find(|(key, _)| *key == name.as_bytes())?;
        std::str::from_utf8(value).ok()
    }

    /// Every value of `name` that is UTF-8.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let same = self.raw().filter(move |(key, _)| *key == name.as_bytes());
        same.filter_map(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// The fields `name`, in order.
    pub fn only(&self, name: &str) -> Headers {
        self.iter().filter(|(key, _)| *key == name).collect()
    }

    fn raw(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &self.bytes[..];
        let mut begin = 0;
        self.ends.iter().map_while(move |&(name_end, end)| {
            let (name, after) = rest.split_at_checked(name_end - begin)?;
            let (value, after) = after.split_at_checked(end - name_end)?;
            (rest, begin) = (after, end);
            Some((name, value))
        })
    }

    /// The declared length of the body.
    pub fn content_length(&self) -> Option<u64> {
        self.get("content-length")?.trim().parse().ok()
    }
}
