//! Credentials that a request brings, wherever it brings them: in headers, and in the query as Google's APIs
//! take them.

use super::event::{Edits, RequestHead};
use crate::base::words::Words;
use crate::credential::CALLER_HEADERS;
use crate::identity;

/// Removes every header in which a client sends a credential.
pub(super) fn remove_credentials(edits: &mut Edits, head: &RequestHead) {
    for name in CALLER_HEADERS {
        if head.headers.contains(name) {
            edits.remove.push(Words::Fixed(name));
        }
    }
    if let Some(path) = edits.path.as_ref().and_then(|path| without(path, is_key)) {
        edits.path = Some(path.into());
    }
}

/// Where Google's APIs take a credential beside headers (Google API system parameters).
const KEY_PARAMETERS: &[&str] = &["key", "access_token", "%24.key", "$.key"];

/// True for a pair of a query that is a credential.
pub(super) fn is_key(pair: &str) -> bool {
    KEY_PARAMETERS.contains(&pair.split('=').next().unwrap_or_default())
}

fn is_own(pair: &str) -> bool {
    is_key(pair) && pair.split_once('=').is_some_and(|(_, key)| identity::is_own_key(key.as_bytes()))
}

/// The path without these pairs of its query; nothing where there are none.
fn without(path: &str, is_gone: impl Fn(&str) -> bool) -> Option<String> {
    let (path, query) = path.split_once('?')?;
    query.split('&').any(&is_gone).then(|| {
        let kept: Vec<&str> = query.split('&').filter(|pair| !is_gone(pair)).collect();
        if kept.is_empty() { path.to_owned() } else { [path, "?", &kept.join("&")].concat() }
    })
}

/// A path for which the client's own was given up, with the credentials that its query brought and that are no
/// keys of Weir's: whoever reads `key` in the one reads it in the other.
pub(super) fn with_keys(path: String, client: &str) -> String {
    let query = client.split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter(|pair| is_key(pair) && !is_own(pair)).fold(path, |path, pair| {
        let join = if path.contains('?') { "&" } else { "?" };
        [&path, join, pair].concat()
    })
}

/// A path to be shown: the credentials in its query are not.
pub fn without_values(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let shown = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_key(pair) => format!("{name}=***"),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", shown.collect::<Vec<_>>().join("&"))
}

/// The headers, and a key of Weir's in the query as if it stood in Google's own header.
pub(super) fn headers_and_key(head: &RequestHead) -> impl Iterator<Item = (&str, &[u8])> {
    let query = head.path.split_once('?').map_or("", |(_, query)| query);
    let value = query.split('&').filter(|pair| is_key(pair)).filter_map(|pair| pair.split_once('='));
    let own = value.map(|(_, value)| value.as_bytes()).find(|value| identity::is_own_key(value));
    head.headers.iter().chain(own.map(|value| ("x-goog-api-key", value)))
}

/// Removes the headers with a key of Weir's: it says here who calls, and is no credential elsewhere.
pub(super) fn remove_own_keys(edits: &mut Edits, head: &RequestHead) {
    for name in CALLER_HEADERS {
        if head.headers.iter().any(|(key, value)| key == *name && identity::is_own_key(value)) {
            edits.remove.push(Words::Fixed(name));
        }
    }
    if let Some(path) = edits.path.as_ref().and_then(|path| without(path, is_own)) {
        edits.path = Some(path.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_loses_its_keys_and_nothing_else() {
        for (path, left) in [
            ("/m:g?key=AIza", Some("/m:g")),
            ("/m:g?alt=sse&key=AIza&x=key", Some("/m:g?alt=sse&x=key")),
            ("/m:g?access_token=a&alt=sse", Some("/m:g?alt=sse")),
            ("/m:g?keys=1&alt=sse", None),
            ("/m:g", None),
        ] {
            assert_eq!(without(path, is_key).as_deref(), left, "{path}");
        }
    }

    #[test]
    fn a_new_path_has_the_credentials_of_the_old_one() {
        for (client, path, left) in [
            ("/m:g?alt=json&key=AIza&x=1", "/m:g", "/m:g?key=AIza"),
            ("/m:s?alt=sse&key=AIza", "/m:s?alt=sse", "/m:s?alt=sse&key=AIza"),
            ("/m:g?access_token=a&%24.key=b", "/m:g", "/m:g?access_token=a&%24.key=b"),
            ("/m:g?key=sk-weir-1", "/m:g", "/m:g"),
            ("/m:g", "/m:g", "/m:g"),
        ] {
            assert_eq!(with_keys(path.to_owned(), client), left, "{client}");
        }
    }

    #[test]
    fn a_key_of_weirs_in_the_query_says_who_calls() {
        let head = |path: &str| RequestHead { path: path.to_owned(), ..RequestHead::default() };
        let found = |path| headers_and_key(&head(path)).map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(found("/m:g?key=sk-weir-1"), ["x-goog-api-key"]);
        assert!(found("/m:g?key=AIza").is_empty() && found("/m:g").is_empty());
    }
}
