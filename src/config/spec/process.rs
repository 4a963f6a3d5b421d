//! What a WeirBootstrap says that is not built yet: the journal, the proxy's version.
//! It is read to find what is wrong in it; nothing of it is kept.

use std::time::Duration;

use super::super::form;
use super::super::read::{Object, Reader};
use super::super::shape::{Fields, Shape, may, need};
use super::super::text;
use super::super::value;

pub(super) const JOURNAL: Fields = Fields::of(&[
    need("path", Shape::Text(&text::FILE_PATH), "A directory."),
    may("sync", Shape::Text(&text::SOME_DURATION), "How often it is written."),
]);
pub(super) const ENVOY: Fields = Fields::of(&[need("version", Shape::Text(&text::VERSION), "Which fallbacks to use.")]);

/// Reads `journal` and `envoy`.
pub(super) fn read(bootstrap: &Object<'_>) {
    let read = |name, look: fn(&Reader<'_>) -> Option<()>| bootstrap.later(name).and_then(|field| look(&field));
    read("journal", journal);
    read("envoy", envoy);
}

fn journal(reader: &Reader<'_>) -> Option<()> {
    let journal = reader.object(&JOURNAL)?;
    journal.need("path").and_then(|path| path.parsed(form::file_path));
    journal.get("sync").and_then(positive);
    Some(())
}

fn envoy(reader: &Reader<'_>) -> Option<()> {
    reader.object(&ENVOY)?.need("version")?.parsed(form::version).map(drop)
}

/// A length of time that is one.
pub(super) fn positive(field: Reader<'_>) -> Option<Duration> {
    let time = field.parsed(value::duration)?;
    if time.is_zero() {
        field.error("is no time at all");
    }
    Some(time)
}
