//! What a WeirBootstrap says that is not built yet: shared stores, the journal, the proxy's version.
//! It is read to find what is wrong in it; nothing of it is kept.

use std::collections::HashSet;

use super::super::form;
use super::super::read::{Fields, Object, Reader};
use super::super::secret::SecretSource;
use super::super::value;
use super::scope::any_text;

const STORES: Fields = Fields { known: &["redis"], later: &[] };
const REDIS: Fields =
    Fields { known: &["urls", "username", "password", "timeout", "prefix", "encryptionKey"], later: &[] };
const JOURNAL: Fields = Fields { known: &["path", "sync"], later: &[] };
const ENVOY: Fields = Fields { known: &["version"], later: &[] };

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
