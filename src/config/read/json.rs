//! A value of the configuration that goes into a request: from YAML to JSON that says the same, or an error.

use super::Reader;
use crate::base::json::write_string;
use crate::config::yaml::Node;

// === impl Reader ===

impl Reader<'_> {
    /// Any value but none, as JSON. A number with a point is spelled in the fewest digits that say the
    /// same double: `0.2` stays `0.2`.
    pub fn json(&self) -> Option<Vec<u8>> {
        if matches!(self.node, Node::Null) {
            self.wrong("a value");
            return None;
        }
        let mut out = Vec::new();
        self.write_json(&mut out).then_some(out)
    }

    /// False, and an error, where JSON cannot say it. The depth is that of the document, which is bounded.
    fn write_json(&self, out: &mut Vec<u8>) -> bool {
        /// From here on a whole number would be written as another one.
        const INEXACT: f64 = 9_223_372_036_854_775_808.0;
        match self.node {
            Node::Null => out.extend_from_slice(b"null"),
            Node::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Node::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Node::Float(value) => match serde_json::Number::from_f64(*value).filter(|_| value.abs() < INEXACT) {
                Some(number) => out.extend_from_slice(number.to_string().as_bytes()),
                None => {
                    self.error("a number of this size is not kept exactly");
                    return false;
                }
            },
            Node::Text(text) if matches!(text.as_str(), ".inf" | "-.inf" | ".nan") => {
                self.error("JSON has no such number");
                return false;
            }
            Node::Text(text) => write_string(out, text),
            Node::List(items) => {
                out.push(b'[');
                let mut first = true;
                let written = self.list_or_empty(|item| {
                    out.extend_from_slice(if std::mem::take(&mut first) { b"" } else { b"," });
                    item.write_json(out).then_some(())
                });
                out.push(b']');
                return written.is_some_and(|written| written.len() == items.len());
            }
            Node::Map(written) => {
                let Some(entries) = self.entries().filter(|entries| entries.len() == written.len()) else {
                    return false;
                };
                out.push(b'{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    out.extend_from_slice(if index == 0 { b"" } else { b"," });
                    write_string(out, key);
                    out.push(b':');
                    if !value.write_json(out) {
                        return false;
                    }
                }
                out.push(b'}');
            }
        }
        true
    }
}
