//! JSON without the order of its keys and without white space. Numbers stay as they were written: what a model is
//! shown of `1.0` is not what it is shown of `1`.

use super::hash::{self, Canon};
use crate::base::json::tree::Value;
use crate::base::json::{Kind, Tree};

/// Members of a body that say in which form the answer comes, or are known from elsewhere.
const NO_PART: &[&str] = &["model", "stream", "stream_options"];

/// JSON in a text; a text that is none is taken as it is.
pub(super) fn put_text(text: &str, canon: &mut Canon) {
    match Tree::read(text.as_bytes()) {
        Ok(tree) => {
            canon.tag(1);
            put(tree.root(), canon);
        }
        Err(_) => {
            canon.tag(0);
            canon.text(text);
        }
    }
}

/// The body of a request.
pub(super) fn put_body(body: Value<'_, '_>, canon: &mut Canon) {
    if body.kind() != Kind::Object {
        return put(body, canon);
    }
    put_members(body, canon, |key| !NO_PART.contains(&key));
}

/// A value of whatever kind.
pub(super) fn put(value: Value<'_, '_>, canon: &mut Canon) {
    match value.kind() {
        Kind::Object => put_members(value, canon, |_| true),
        Kind::Array => {
            canon.tag(b'[');
            canon.count(value.elements().count());
            value.elements().for_each(|element| put(element, canon));
        }
        Kind::String => {
            canon.tag(b'"');
            let text = value.text().unwrap_or_default();
            canon.text(&text);
            // Halves of a surrogate pair all read alike; as they are written they are themselves.
            if hash::has_replacement(&text) {
                canon.text(value.raw());
            }
        }
        Kind::Number | Kind::True | Kind::False | Kind::Null => {
            canon.tag(b'.');
            canon.text(value.raw());
        }
    }
}

/// The members of an object that count.
pub(super) fn put_members(object: Value<'_, '_>, canon: &mut Canon, counts: impl Fn(&str) -> bool) {
    let mut members: Vec<_> = object.members().filter(|(key, _)| counts(key)).collect();
    members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    canon.tag(b'{');
    canon.count(members.len());
    for (key, value) in members {
        canon.text(&key);
        put(value, canon);
    }
}
