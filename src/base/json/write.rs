//! Writing JSON straight into bytes: members and elements with their commas, and nothing in between.
//!
//! ```
//! use weir::base::json::write_object;
//! let mut out = Vec::new();
//! write_object(&mut out, |o| {
//!     o.text("role", "user");
//!     o.array("content", |a| a.object(|o| o.raw("n", "1.50")));
//! });
//! assert_eq!(out, br#"{"role":"user","content":[{"n":1.50}]}"#);
//! ```

use super::text::write_raw;
use super::write_string;

/// Writes one object; `fill` writes its members.
pub fn write_object(out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
    out.push(b'{');
    fill(&mut ObjectWriter { out, is_first: true });
    out.push(b'}');
}

/// Writes one array; `fill` writes its elements.
pub fn write_array(out: &mut Vec<u8>, fill: impl FnOnce(&mut ArrayWriter<'_>)) {
    out.push(b'[');
    fill(&mut ArrayWriter { out, is_first: true });
    out.push(b']');
}

/// An object that is being written. That no key comes twice is its user's care.
pub struct ObjectWriter<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

/// An array that is being written.
pub struct ArrayWriter<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

// === impl ObjectWriter ===

impl ObjectWriter<'_> {
    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.push(b',');
        }
        write_string(self.out, key);
        self.out.push(b':');
        self.out
    }

    /// True when no member was written yet.
    pub fn is_empty(&self) -> bool {
        self.is_first
    }

    pub fn text(&mut self, key: &str, text: &str) {
        write_string(self.key(key), text);
    }

    /// JSON that is written already: a value that was read, a number's own text.
    pub fn raw(&mut self, key: &str, json: &str) {
        write_raw(self.key(key), json);
    }

    pub fn number(&mut self, key: &str, number: u64) {
        self.raw(key, &number.to_string());
    }

    pub fn flag(&mut self, key: &str, flag: bool) {
        self.raw(key, if flag { "true" } else { "false" });
    }

    pub fn null(&mut self, key: &str) {
        self.raw(key, "null");
    }

    pub fn object(&mut self, key: &str, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        write_object(self.key(key), fill);
    }

    pub fn array(&mut self, key: &str, fill: impl FnOnce(&mut ArrayWriter<'_>)) {
        write_array(self.key(key), fill);
    }

    /// The member if there is something to say.
    pub fn text_if(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    /// As [`ObjectWriter::raw`], if there is something to say.
    pub fn raw_if(&mut self, key: &str, json: Option<&str>) {
        if let Some(json) = json {
            self.raw(key, json);
        }
    }

    pub fn number_if(&mut self, key: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.number(key, number);
        }
    }

    pub fn flag_if(&mut self, key: &str, flag: Option<bool>) {
        if let Some(flag) = flag {
            self.flag(key, flag);
        }
    }
}

// === impl ArrayWriter ===

impl ArrayWriter<'_> {
    fn next(&mut self) -> &mut Vec<u8> {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.push(b',');
        }
        self.out
    }

    /// True when no element was written yet.
    pub fn is_empty(&self) -> bool {
        self.is_first
    }

    pub fn text(&mut self, text: &str) {
        write_string(self.next(), text);
    }

    /// JSON that is written already.
    pub fn raw(&mut self, json: &str) {
        write_raw(self.next(), json);
    }

    pub fn object(&mut self, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        write_object(self.next(), fill);
    }

    pub fn array(&mut self, fill: impl FnOnce(&mut ArrayWriter<'_>)) {
        write_array(self.next(), fill);
    }
}
