//! What a WeirBootstrap says that is not built yet: shared stores, the journal, the proxy's version.
//! It is read to find what is wrong in it; nothing of it is kept.

use std::collections::HashSet;

use super::super::form;
use super::super::read::{Object, Reader};
use super::super::secret::{self, SecretSource};
use super::super::shape::{Fields, Shape, may, need, set};
use super::super::text;
use super::super::value;
use super::scope::any_text;

pub(super) const STORES: Fields =
    Fields::of(&[need("redis", Shape::Object(&REDIS), "A Redis, or what speaks as one.")]);
const REDIS: Fields = Fields::of(&[
    need(
        "urls",
        set(&Shape::Text(&text::REDIS_URL), 16),
        "redis://HOST:PORT/DATABASE, or rediss:// for TLS; without a password.",
    ),
    may("username", Shape::Text(&text::ANY), "The user."),
    may("password", Shape::Object(&secret::SOURCE), "Where the password is."),
    may("timeout", Shape::Text(&text::SOME_DURATION), "The longest that a request waits for the store."),
    may("prefix", Shape::Text(&text::IDENTIFIER), "The beginning of every key."),
    may("encryptionKey", Shape::Object(&secret::SOURCE), "Where the key is that kept answers are encrypted with."),
]);
pub(super) const JOURNAL: Fields = Fields::of(&[
    need("path", Shape::Text(&text::FILE_PATH), "A directory."),
    may("sync", Shape::Text(&text::SOME_DURATION), "How often it is written."),
]);
pub(super) const ENVOY: Fields = Fields::of(&[need("version", Shape::Text(&text::VERSION), "Which fallbacks to use.")]);

/// Reads `stores`, `journal` and `envoy`.
pub(super) fn read(bootstrap: &Object<'_>) {
    let read = |name, look: fn(&Reader<'_>) -> Option<()>| bootstrap.later(name).and_then(|field| look(&field));
    read("stores", stores);
    read("journal", journal);
    read("envoy", envoy);
}

fn stores(reader: &Reader<'_>) -> Option<()> {
    let redis = reader.object(&STORES)?.need("redis")?.object(&REDIS)?;
    redis.need("urls").and_then(|urls| {
        let mut seen = HashSet::new();
        urls.list(|url| {
            // Somebody may have written a password into it: no error repeats anything of it.
            if url.peek().is_some_and(|text| !seen.insert(text)) {
                url.error("duplicate URL");
            }
            url.hushed().parsed(form::redis_url)
        })
    });
    redis.get("username").and_then(|name| name.parsed(any_text));
    redis.get("password").and_then(|password| SecretSource::read(&password));
    redis.get("prefix").and_then(|prefix| prefix.parsed(form::identifier));
    redis.get("encryptionKey").and_then(|key| SecretSource::read(&key));
    positive(redis.get("timeout"));
    Some(())
}

fn journal(reader: &Reader<'_>) -> Option<()> {
    let journal = reader.object(&JOURNAL)?;
    journal.need("path").and_then(|path| path.parsed(form::file_path));
    positive(journal.get("sync"));
    Some(())
}

fn envoy(reader: &Reader<'_>) -> Option<()> {
    reader.object(&ENVOY)?.need("version")?.parsed(form::version).map(drop)
}

fn positive(field: Option<Reader<'_>>) {
    if let Some(field) = field
        && field.parsed(value::duration).is_some_and(|time| time.is_zero())
    {
        field.error("is no time at all");
    }
}
