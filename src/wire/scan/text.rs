//! The inside of a JSON string that arrives split anywhere: escapes are decoded one byte at a time,
//! and a short value is kept. Nothing here allocates.

use std::sync::Arc;

/// The longest value that is kept; a longer one is no value.
const KEPT: usize = 256;

/// U+FFFD, which stands for a lone surrogate.
const REPLACEMENT: u32 = 0xfffd;

/// The first bytes of a string or of a number.
#[derive(Clone, Debug)]
pub(super) struct Capture {
    bytes: [u8; KEPT],
    length: usize,
    overflow: bool,
}

/// Where a string is in an escape.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Escape {
    stage: Stage,
    unit: u32,
    /// A high surrogate that waits for the low one; 0 if there is none.
    high: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Closed,
    /// Behind the backslash.
    Open,
    /// In `\uXXXX`; how many digits are missing.
    Hex(u8),
}

/// Up to two characters as UTF-8: a lone surrogate's stand-in and the character behind it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Decoded {
    bytes: [u8; 8],
    length: usize,
}

/// Keeps a text; allocates only where it changes, as every event of a stream repeats it.
pub(super) fn keep(kept: &mut Option<Arc<str>>, text: Option<&str>) {
    if let Some(text) = text.filter(|text| kept.as_deref() != Some(text)) {
        *kept = Some(text.into());
    }
}

// === impl Capture ===

impl Default for Capture {
    fn default() -> Self {
        Capture { bytes: [0; KEPT], length: 0, overflow: false }
    }
}

impl Capture {
    /// Forgets what was kept.
    pub(super) fn begin(&mut self) {
        self.length = 0;
        self.overflow = false;
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        match self.bytes.get_mut(self.length..self.length + bytes.len()) {
            Some(free) if !self.overflow => {
                free.copy_from_slice(bytes);
                self.length += bytes.len();
            }
            _ => self.overflow = true,
        }
    }

    /// All bytes, or none where there were too many.
    pub(super) fn bytes(&self) -> &[u8] {
        if self.overflow { &[] } else { &self.bytes[..self.length] }
    }

    /// A text with something in it.
    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()).ok().filter(|text| !text.is_empty())
    }

    /// A count: a number that is a whole one, in whatever spelling, and not negative.
    pub(super) fn number(&self) -> Option<u64> {
        let text = self.text()?;
        // Rust reads a leading plus, JSON does not.
        if text.starts_with('+') {
            return None;
        }
        text.parse().ok().or_else(|| {
            // Above 2^53 a float is not exact, and nobody counts that many tokens.
            let value: f64 = text.parse().ok()?;
            (value.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&value)).then_some(value as u64)
        })
    }

    /// Thousandths of a number that is not negative, rounded to the nearest.
    pub(super) fn thousandths(&self) -> Option<u64> {
        let text = self.text()?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_plain(whole) || !is_plain(fraction) {
            // With an exponent; nobody writes one here.
            let value: f64 = text.parse::<f64>().ok()? * 1000.0;
            return (0.0..9_007_199_254_740_992.0).contains(&value).then(|| value.round() as u64);
        }
        let digit = |at: usize| u64::from(fraction.as_bytes().get(at).map_or(0, |digit| digit - b'0'));
        let thousandths = digit(0) * 100 + digit(1) * 10 + digit(2) + u64::from(digit(3) >= 5);
        whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(thousandths)
    }
}

// === impl Escape ===

impl Escape {
    /// Whether the next byte belongs to an escape.
    pub(super) fn is_open(&self) -> bool {
        self.stage != Stage::Closed
    }

    /// A backslash was seen.
    pub(super) fn open(&mut self) {
        self.stage = Stage::Open;
    }

    /// Takes a byte of an escape. `None` if there is no such escape.
    pub(super) fn push(&mut self, byte: u8) -> Option<Decoded> {
        let unit = match self.stage {
            Stage::Hex(missing) => {
                self.unit = self.unit * 16 + char::from(byte).to_digit(16)?;
                self.stage = Stage::Hex(missing - 1);
                if missing > 1 {
                    return Some(Decoded::default());
                }
                self.unit
            }
            _ => match byte {
                b'"' | b'\\' | b'/' => u32::from(byte),
                b'b' => 0x08,
                b't' => 0x09,
                b'n' => 0x0a,
                b'f' => 0x0c,
                b'r' => 0x0d,
                b'u' => {
                    (self.stage, self.unit) = (Stage::Hex(4), 0);
                    return Some(Decoded::default());
                }
                _ => return None,
            },
        };
        self.stage = Stage::Closed;
        Some(self.resolve(unit))
    }

    /// A plain byte or the end of the string follows: a high surrogate waits no longer.
    pub(super) fn flush(&mut self) -> Decoded {
        let mut decoded = Decoded::default();
        if self.high != 0 {
            decoded.push(REPLACEMENT);
        }
        self.high = 0;
        decoded
    }

    fn resolve(&mut self, unit: u32) -> Decoded {
        if let (high @ 1.., 0xdc00..0xe000) = (self.high, unit) {
            self.high = 0;
            let mut decoded = Decoded::default();
            decoded.push(0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00));
            return decoded;
        }
        let mut decoded = self.flush();
        match unit {
            0xd800..0xdc00 => self.high = unit,
            _ => decoded.push(unit),
        }
        decoded
    }
}

// === impl Decoded ===

impl Decoded {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, unit: u32) {
        let c = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
        // Two characters are at most 3 + 3 bytes; one alone is at most 4.
        self.length += c.encode_utf8(&mut self.bytes[self.length..]).len();
    }
}
