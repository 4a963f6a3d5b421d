//! A value of a dump, read with forbearance: a field that is absent, or of another kind, is as if it were not
//! there. Pure.

use std::time::Duration;

use serde_json::Value;

/// A value, or nothing.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a>(Option<&'a Value>);

// === impl Node ===

impl<'a> Node<'a> {
    pub fn new(value: &'a Value) -> Self {
        Node(Some(value))
    }

    /// The member of this name. Envoy writes `filter_chains`; what has gone through a reader of protobuf may say
    /// `filterChains`.
    pub fn get(self, name: &str) -> Node<'a> {
        let Some(Value::Object(members)) = self.0 else { return Node(None) };
        let found = members.get(name).or_else(|| members.get(&camel(name)).filter(|_| name.contains('_')));
        Node(found.filter(|value| !value.is_null()))
    }

    /// Member by member.
    pub fn path(self, names: &[&str]) -> Node<'a> {
        names.iter().fold(self, |node, name| node.get(name))
    }

    pub fn is_there(self) -> bool {
        self.0.is_some()
    }

    pub fn text(self) -> Option<&'a str> {
        self.0?.as_str()
    }

    /// The text, or an empty one.
    pub fn name(self) -> String {
        self.text().unwrap_or_default().to_owned()
    }

    /// A whole number: as such, in quotes as protobuf writes long ones, or in a `value`.
    pub fn number(self) -> Option<u64> {
        match self.0? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => self.get("value").0.and_then(|value| Node::new(value).number()),
        }
    }

    /// True for `true`, also in a `value`.
    pub fn flag(self) -> bool {
        match self.0 {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::Object(_)) => matches!(self.get("value").0, Some(Value::Bool(true))),
            _ => false,
        }
    }

    /// A duration as protobuf writes it: `0s`, `0.250s`.
    pub fn duration(self) -> Option<Duration> {
        let seconds: f64 = self.text()?.strip_suffix('s')?.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// The elements of a list; of anything else none.
    pub fn items(self) -> impl Iterator<Item = Node<'a>> {
        let items = match self.0 {
            Some(Value::Array(items)) => items.as_slice(),
            _ => &[],
        };
        items.iter().map(Node::new)
    }

    /// The members of an object; of anything else none.
    pub fn members(self) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        let members = match self.0 {
            Some(Value::Object(members)) => Some(members),
            _ => None,
        };
        members.into_iter().flatten().map(|(name, value)| (name.as_str(), Node::new(value)))
    }

    /// The texts of a list.
    pub fn texts(self) -> Vec<String> {
        self.items().filter_map(|item| item.text().map(str::to_owned)).collect()
    }

    /// What an `Any` holds and of which type it is, also where it is wrapped because a control plane does not know
    /// the type.
    pub fn typed(self) -> (&'a str, Node<'a>) {
        let kind = self.get("@type").text().unwrap_or_default();
        if kind.ends_with(".TypedStruct") {
            return (self.get("type_url").text().unwrap_or_default(), self.get("value"));
        }
        (kind, self)
    }

    /// Every text in it, however deep.
    pub fn all_texts(self, each: &mut dyn FnMut(&'a str)) {
        match self.0 {
            Some(Value::String(text)) => each(text),
            Some(Value::Array(_)) => self.items().for_each(|item| item.all_texts(each)),
            Some(Value::Object(_)) => self.members().for_each(|(_, value)| value.all_texts(each)),
            _ => {}
        }
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        out.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_found_in_both_spellings_and_wrappers() {
        let value = json!({
            "filterChains": [1], "stat_prefix": "a", "n": "12", "w": {"value": 7}, "on": {"value": true},
            "t": "0.250s", "bad": "soon", "nothing": null,
            "any": {"@type": "x/xds.type.v3.TypedStruct", "type_url": "x/A", "value": {"b": 1}},
        });
        let node = Node::new(&value);
        assert_eq!(node.get("filter_chains").items().count(), 1);
        assert_eq!(node.get("stat_prefix").text(), Some("a"));
        assert_eq!((node.get("n").number(), node.get("w").number()), (Some(12), Some(7)));
        assert!(node.get("on").flag() && !node.get("w").flag() && !node.get("nothing").is_there());
        assert_eq!(node.get("t").duration(), Some(Duration::from_millis(250)));
        assert_eq!(node.get("bad").duration(), None);
        let (kind, inner) = node.get("any").typed();
        assert_eq!((kind, inner.get("b").number()), ("x/A", Some(1)));
        let mut texts = Vec::new();
        node.all_texts(&mut |text| texts.push(text));
        assert!(texts.contains(&"soon") && texts.contains(&"x/A"), "{texts:?}");
    }
}
