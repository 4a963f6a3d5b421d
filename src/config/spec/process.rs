//! What a WeirBootstrap says of the journal, and what is not built yet: the proxy's version. That is read to
//! find what is wrong in it; nothing of it is kept.

use std::time::Duration;

use super::super::form;
use super::super::read::{Object, Reader};
use super::super::shape::{Fields, Shape, may, need};
use super::super::text;
use super::super::value;
use crate::limit::journal::Settings;

pub(super) const JOURNAL: Fields = Fields::of(&[
    need("path", Shape::Text(&text::FILE_PATH), "A directory, for this process alone."),
    may("sync", Shape::Text(&text::SOME_DURATION), "The most that is lost where the machine loses power.").or("100ms"),
]);
/// How long something that is written may take to reach the disk.
const SYNC: Duration = Duration::from_millis(100);
pub(super) const ENVOY: Fields = Fields::of(&[need("version", Shape::Text(&text::VERSION), "Which fallbacks to use.")]);

/// Reads `envoy`.
pub(super) fn read(bootstrap: &Object<'_>) {
    let read = |name, look: fn(&Reader<'_>) -> Option<()>| bootstrap.later(name).and_then(|field| look(&field));
    read("envoy", envoy);
}

pub(super) fn journal(reader: &Reader<'_>) -> Option<Settings> {
    let journal = reader.object(&JOURNAL)?;
    let path = journal.need("path").and_then(|path| path.parsed(form::file_path));
    let sync = journal.get("sync").and_then(positive);
    Some(Settings { path: path?.into(), sync: sync.unwrap_or(SYNC), is_implied: false })
}

fn envoy(reader: &Reader<'_>) -> Option<()> {
    reader.object(&ENVOY)?.need("version")?.parsed(form::version).map(drop)
}

/// A length of time that is one.
pub(super) fn positive(field: Reader<'_>) -> Option<Duration> {
    let time = field.parsed(value::duration)?;
    if time.is_zero() {
        field.error("is no time at all");
        return None;
    }
    Some(time)
}
