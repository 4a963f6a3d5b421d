//! Names with stars: `*` stands for any run of characters, nothing else is special.

/// A pattern over a whole name. Matching is linear in the name for each star.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Glob {
    text: Box<str>,
    exact: bool,
}

// === impl Glob ===

impl Glob {
    /// A pattern in which `*` is a wildcard.
    pub fn new(text: &str) -> Self {
        Glob { text: text.into(), exact: !text.contains('*') }
    }

    /// A pattern that matches `text` and nothing else, stars included.
    pub fn exact(text: &str) -> Self {
        Glob { text: text.into(), exact: true }
    }

    /// True when it matches one name only.
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text before the first wildcard: whatever matches begins with it.
    pub fn prefix(&self) -> &str {
        match self.exact {
            true => &self.text,
            false => self.text.split('*').next().unwrap_or_default(),
        }
    }

    /// True when the whole of `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        if self.exact {
            return *self.text == *name;
        }
        let mut parts = self.text.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let mut last = "";
        for part in parts {
            // `last` is only known to be the last part once there is no further one.
            match rest.find(last) {
                Some(at) => rest = &rest[at + last.len()..],
                None => return false,
            }
            last = part;
        }
        rest.ends_with(last)
    }
}
