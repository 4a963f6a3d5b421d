//! The name of a rule of a route, which is also what records say of it.

use std::fmt;
use std::sync::Arc;

/// Which rule of which route, or which route where its `passthrough` is meant. One text and where its
/// pieces end, so that a clone is one count.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RuleName {
    text: Arc<str>,
    /// Bytes of the namespace, without the slash behind it; 0 for root.
    namespace: usize,
    /// Bytes of the route's id.
    route: usize,
}

// === impl RuleName ===

impl RuleName {
    /// A rule of a route. Both are names of documents, so that neither holds a slash.
    pub fn new(namespace: Option<&str>, route: &str, rule: &str) -> Self {
        let name = RuleName::passthrough(namespace, route);
        RuleName { text: [&*name.text, "/", rule].concat().into(), ..name }
    }

    /// The `passthrough` of a route.
    pub fn passthrough(namespace: Option<&str>, route: &str) -> Self {
        let id = id(namespace, route);
        RuleName { namespace: namespace.map_or(0, str::len), route: id.len(), text: id }
    }

    /// `ROUTE/RULE` or `NAMESPACE/ROUTE/RULE`; without `/RULE` for a passthrough. For records.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// None for a route of the root namespace.
    pub fn namespace(&self) -> Option<&str> {
        self.text.get(..self.namespace).filter(|namespace| !namespace.is_empty())
    }

    /// The id of the route: `ROUTE`, or `NAMESPACE/ROUTE`.
    pub fn route(&self) -> &str {
        self.text.get(..self.route).unwrap_or_default()
    }

    /// None for a passthrough.
    pub fn rule(&self) -> Option<&str> {
        self.text.get(self.route + 1..)
    }
}

impl Default for RuleName {
    fn default() -> Self {
        RuleName { text: "".into(), namespace: 0, route: 0 }
    }
}

/// Of the root namespace: `ROUTE/RULE`, or `ROUTE` for a passthrough.
impl From<&str> for RuleName {
    fn from(text: &str) -> Self {
        match text.split_once('/') {
            Some((route, rule)) => RuleName::new(None, route, rule),
            None => RuleName::passthrough(None, text),
        }
    }
}

impl fmt::Debug for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The name by which a document is known everywhere: `NAME` in the root namespace, `NAMESPACE/NAME`
/// elsewhere. Neither holds a slash, so the two cannot be mistaken for each other.
pub fn id(namespace: Option<&str>, name: &str) -> Arc<str> {
    match namespace {
        Some(namespace) => [namespace, "/", name].concat().into(),
        None => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_are_where_they_were_put() {
        let pieces = |name: &RuleName| {
            let own = |text: &str| text.to_owned();
            (name.text().to_string(), name.namespace().map(own), name.route().to_owned(), name.rule().map(own))
        };
        let of = |text: &str, namespace: Option<&str>, route: &str, rule: Option<&str>| {
            (text.to_owned(), namespace.map(str::to_owned), route.to_owned(), rule.map(str::to_owned))
        };
        for (name, expected) in [
            (RuleName::new(None, "chat", "default"), of("chat/default", None, "chat", Some("default"))),
            (
                RuleName::new(Some("search"), "chat.v2", "a"),
                of("search/chat.v2/a", Some("search"), "search/chat.v2", Some("a")),
            ),
            (RuleName::passthrough(None, "files"), of("files", None, "files", None)),
            (RuleName::passthrough(Some("search"), "files"), of("search/files", Some("search"), "search/files", None)),
            (RuleName::from("chat/default"), of("chat/default", None, "chat", Some("default"))),
            (RuleName::from("files"), of("files", None, "files", None)),
            (RuleName::default(), of("", None, "", None)),
        ] {
            assert_eq!(pieces(&name), expected);
        }
    }

    #[test]
    fn a_rule_of_root_is_not_the_passthrough_of_a_namespace() {
        let (rule, pass) = (RuleName::new(None, "a", "b"), RuleName::passthrough(Some("a"), "b"));
        assert_eq!(rule.text(), pass.text());
        assert_ne!(rule, pass);
    }
}
