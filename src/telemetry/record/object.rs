//! Writes one JSON object as proto-JSON has it: 64-bit numbers as strings, and a field that holds its
//! default is left out. Nothing is allocated but what the buffer grows by.

use std::fmt;
use std::time::Duration;

use crate::base::json;
use crate::telemetry::time::{self, digits};

/// An object that is begun. Keys are the program's own words and need no escape.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    /// Nothing is in it yet.
    empty: bool,
}

/// Takes text that needs no escape.
pub struct Ascii<'a>(&'a mut Vec<u8>);

// === impl Object ===

impl<'a> Object<'a> {
    /// Begins an object at the end of `out`.
    pub fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Object { out, empty: true }
    }

    /// Ends it. An object that is not ended is no JSON.
    pub fn end(self) {
        self.out.push(b'}');
    }

    /// A text, if it is not empty.
    pub fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            json::write_string(self.key(key), text);
        }
    }

    /// A number of 32 bits, if it is not zero.
    pub fn number(&mut self, key: &str, number: u32) {
        if number != 0 {
            // Writing to memory does not fail.
            let _ = digits(number.into(), 1, &mut Ascii(self.key(key)));
        }
    }

    /// A number of 64 bits, if it is not zero.
    pub fn long(&mut self, key: &str, number: u64) {
        if number != 0 {
            self.quoted(key, |out| digits(number, 1, out));
        }
    }

    /// A truth, if it is true.
    pub fn flag(&mut self, key: &str, flag: bool) {
        if flag {
            self.key(key).extend_from_slice(b"true");
        }
    }

    /// A length of time, if there is one.
    pub fn duration(&mut self, key: &str, duration: Option<Duration>) {
        if let Some(duration) = duration {
            self.quoted(key, |out| time::Duration::from(duration).write(out));
        }
    }

    /// A string of what `write` writes, whatever that is.
    pub fn quoted(&mut self, key: &str, write: impl FnOnce(&mut Ascii<'_>) -> fmt::Result) {
        let out = self.key(key);
        out.push(b'"');
        // Writing to memory does not fail.
        let _ = write(&mut Ascii(out));
        out.push(b'"');
    }

    /// An object in it.
    pub fn object(&mut self, key: &str) -> Object<'_> {
        Object::begin(self.key(key))
    }

    /// A list of objects, one for each item, if there are any.
    pub fn objects<T>(&mut self, key: &str, items: impl Iterator<Item = T>, write: impl Fn(&mut Object<'_>, T)) {
        let mut items = items.peekable();
        if items.peek().is_none() {
            return;
        }
        let out = self.key(key);
        let mut before = b'[';
        for item in items {
            out.push(std::mem::replace(&mut before, b','));
            let mut object = Object::begin(out);
            write(&mut object, item);
            object.end();
        }
        out.push(b']');
    }

    /// An object of texts under keys of somebody's choice, which are escaped, if there are any. No key
    /// may come twice.
    pub fn map<T: AsRef<str>>(&mut self, key: &str, entries: impl Iterator<Item = (T, T)>) {
        let mut entries = entries.peekable();
        if entries.peek().is_none() {
            return;
        }
        let out = self.key(key);
        let mut before = b'{';
        for (key, text) in entries {
            out.push(std::mem::replace(&mut before, b','));
            json::write_string(out, key.as_ref());
            out.push(b':');
            json::write_string(out, text.as_ref());
        }
        out.push(b'}');
    }

    /// What stands before a value.
    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        let out = &mut *self.out;
        let before: &[u8] = if std::mem::replace(&mut self.empty, false) { b"\"" } else { b",\"" };
        out.extend_from_slice(before);
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        out
    }
}

// === impl Ascii ===

impl fmt::Write for Ascii<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
