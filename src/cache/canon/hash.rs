//! Values one behind the other, each with its length, into one hash: no two lists of values are the same bytes.

/// Values on their way into the hash.
pub(super) struct Canon {
    hasher: blake3::Hasher,
    /// What is small is gathered: a call of the hasher costs more than the bytes.
    gathered: Vec<u8>,
    /// A text had U+FFFD in it.
    replaced: bool,
}

/// Bytes that are gathered before they are hashed.
const GATHER: usize = 4096;

// === impl Canon ===

impl Canon {
    /// `purpose` is a constant of its own for each thing that is hashed.
    pub fn new(purpose: &'static [u8]) -> Self {
        let mut canon = Canon { hasher: blake3::Hasher::new(), gathered: Vec::with_capacity(GATHER), replaced: false };
        canon.bytes(purpose);
        canon
    }

    /// Says which of several things comes next.
    pub fn tag(&mut self, tag: u8) {
        self.gathered.push(tag);
    }

    /// A number of things, or any other number.
    pub fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    pub fn number(&mut self, number: u64) {
        self.gathered.extend_from_slice(&number.to_le_bytes());
    }

    pub fn text(&mut self, text: &str) {
        self.replaced |= has_replacement(text);
        self.bytes(text.as_bytes());
    }

    /// True when some text may stand for several that were written: see [`has_replacement`].
    pub fn is_doubtful(&self) -> bool {
        self.replaced
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        if self.gathered.len() + bytes.len() > GATHER {
            self.hasher.update(&self.gathered);
            self.gathered.clear();
        }
        if bytes.len() > GATHER {
            self.hasher.update(bytes);
        } else {
            self.gathered.extend_from_slice(bytes);
        }
    }

    /// A thing that need not be there.
    pub fn maybe<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.tag(0),
            Some(value) => {
                self.tag(1);
                put(self, value);
            }
        }
    }

    pub fn maybe_text(&mut self, text: Option<&str>) {
        self.maybe(text, Canon::text);
    }

    pub fn maybe_number(&mut self, number: Option<u64>) {
        self.maybe(number, Canon::number);
    }

    pub fn maybe_bool(&mut self, value: Option<bool>) {
        self.maybe(value, |canon, value| canon.tag(u8::from(value)));
    }

    pub fn finish(mut self) -> [u8; 32] {
        self.hasher.update(&self.gathered);
        *self.hasher.finalize().as_bytes()
    }
}

/// Whether it has U+FFFD in it, as which every half of a surrogate pair is read, and which is seldom written.
pub(super) fn has_replacement(text: &str) -> bool {
    text.len() >= 3 && memchr::memmem::find(text.as_bytes(), "\u{fffd}".as_bytes()).is_some()
}
