//! A JSON Schema as `parametersJsonSchema` and `responseJsonSchema` take it. Both fields hold any JSON, on AI
//! Studio (v1beta, `FunctionDeclaration`, `GenerationConfig`) as on Vertex AI, and keywords that Gemini does
//! not know are passed over ("Structured outputs", JSON schema support). Four things are errors or lose their
//! sense, and are said in another way here:
//!
//! * the arguments of a function must be an object;
//! * beside `$ref` only `description` and `default` may stand;
//! * a `$ref` must point to a child of the outermost `$defs`: `definitions` get that name, and what is referred
//!   to elsewhere is put in its place;
//! * `const` is not known: it is an `enum` of one.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::base::json::tree::Value;
use crate::base::json::{ArrayWriter, Kind, ObjectWriter, Tree, write_object};

/// How often what is referred to is put in its place, one inside of another: a schema may refer to itself.
const NESTED: usize = 6;

/// How many bytes of a schema are put in the place of references, all together: a few of them, one inside of
/// another, would make gigabytes.
const MOST: usize = 256 << 10;

/// And how many for each byte that the client wrote: a request may have a thousand such schemas.
const FOR_EACH: usize = 16;

/// The outermost schema, and what is said of it beside.
#[derive(Clone, Copy, Default)]
pub(super) struct Outermost<'s> {
    /// It holds a function's arguments.
    pub is_arguments: bool,
    pub title: Option<&'s str>,
    pub description: Option<&'s str>,
}

struct Writer<'t, 'a> {
    root: Value<'t, 'a>,
    /// The outermost `definitions` are named `$defs`.
    renames: bool,
    nested: usize,
    /// How many bytes may still be put in the place of references.
    left: usize,
    /// What is in the containers that references have led through, by where these begin: nothing is searched
    /// once for each reference.
    seen: HashMap<usize, HashMap<Cow<'a, str>, Value<'t, 'a>>>,
    lossy: bool,
}

/// Appends the schema. False where it says less now.
pub(super) fn write(schema: &str, outermost: Outermost<'_>, out: &mut Vec<u8>) -> bool {
    let tree = Tree::read(schema.as_bytes()).ok();
    let root = tree.as_ref().map(Tree::root).filter(|root| root.kind() == Kind::Object);
    let Some(root) = root else {
        // `true` takes anything; of a function's arguments that is any object.
        out.extend_from_slice(if outermost.is_arguments { br#"{"type":"object"}"# } else { b"{}" });
        return schema.trim() == "true";
    };
    let renames = root.get("$defs").is_none() && root.get("definitions").is_some();
    let left = MOST.min(schema.len().saturating_mul(FOR_EACH));
    let mut writer = Writer { root, renames, nested: 0, left, seen: HashMap::new(), lossy: false };
    write_object(out, |o| {
        let has = |key: &str| root.get(key).is_some();
        if outermost.is_arguments && !has("type") {
            o.text("type", "object");
        }
        o.text_if("title", outermost.title.filter(|_| !has("title")));
        o.text_if("description", outermost.description.filter(|_| !has("description")));
        writer.members(root, o, true);
    });
    !writer.lossy
}

// === impl Writer ===

impl<'t, 'a> Writer<'t, 'a> {
    fn members(&mut self, value: Value<'t, 'a>, o: &mut ObjectWriter<'_>, is_outermost: bool) {
        let reference = value.get("$ref").and_then(Value::text);
        let Some(reference) = reference else {
            let mut rest = value.members();
            return rest.by_ref().for_each(|(key, inner)| self.member(&key, inner, value, o, is_outermost));
        };
        let takes_more = match self.named(&reference) {
            Some(name) => {
                o.text("$ref", &name);
                true
            }
            None => self.pointed(&reference, value, o),
        };
        for (key, inner) in value.members().filter(|(key, _)| *key != "$ref") {
            match &*key {
                "description" | "default" if takes_more => o.raw(&key, inner.raw()),
                "$defs" | "definitions" if is_outermost => self.member(&key, inner, value, o, true),
                "$schema" | "title" => {}
                _ => self.lossy = true,
            }
        }
    }

    fn member(
        &mut self,
        key: &str,
        value: Value<'t, 'a>,
        parent: Value<'t, 'a>,
        o: &mut ObjectWriter<'_>,
        is_outermost: bool,
    ) {
        let name = match (key, value.kind()) {
            ("$schema", _) => return,
            ("definitions", Kind::Object) if is_outermost && self.renames => "$defs",
            ("const", Kind::String | Kind::Number) if parent.get("enum").is_none() => {
                return o.array("enum", |a| a.raw(value.raw()));
            }
            _ => key,
        };
        match (key, value.kind()) {
            ("properties" | "$defs" | "definitions" | "patternProperties" | "dependentSchemas", Kind::Object) => {
                o.object(name, |o| value.members().for_each(|(name, value)| self.schema(&name, value, o)));
            }
            (
                "items" | "additionalProperties" | "not" | "if" | "then" | "else" | "contains" | "propertyNames",
                Kind::Object,
            ) => self.schema(name, value, o),
            ("anyOf" | "oneOf" | "allOf" | "prefixItems" | "items", Kind::Array) => {
                o.array(name, |a| value.elements().for_each(|value| self.element(value, a)));
            }
            _ => o.raw(name, value.raw()),
        }
    }

    fn schema(&mut self, name: &str, value: Value<'t, 'a>, o: &mut ObjectWriter<'_>) {
        match value.kind() {
            Kind::Object => o.object(name, |o| self.members(value, o, false)),
            _ => o.raw(name, value.raw()),
        }
    }

    fn element(&mut self, value: Value<'t, 'a>, a: &mut ArrayWriter<'_>) {
        match value.kind() {
            Kind::Object => a.object(|o| self.members(value, o, false)),
            _ => a.raw(value.raw()),
        }
    }

    /// A reference to a child of the outermost definitions, as it is said here.
    fn named(&mut self, reference: &str) -> Option<String> {
        let (place, name) = match reference.strip_prefix("#/$defs/") {
            Some(name) => ("$defs", name),
            None => ("definitions", reference.strip_prefix("#/definitions/").filter(|_| self.renames)?),
        };
        let definitions = self.child(self.root, place).filter(|value| value.kind() == Kind::Object)?;
        let known = !name.contains('/') && self.child(definitions, &unescaped(name)).is_some();
        known.then(|| ["#/$defs/", name].concat())
    }

    /// A member of an object, or an element of an array by its number.
    fn child(&mut self, of: Value<'t, 'a>, step: &str) -> Option<Value<'t, 'a>> {
        let children = self.seen.entry(of.span().start).or_insert_with(|| match of.kind() {
            Kind::Array => of.elements().enumerate().map(|(at, value)| (at.to_string().into(), value)).collect(),
            _ => of.members().collect(),
        });
        children.get(step).copied().filter(|child| !child.is_null())
    }

    /// Writes the members of what a reference of `from` points to, but for those that may stand beside it
    /// there. False where these may not be written any more.
    fn pointed(&mut self, reference: &str, from: Value<'t, 'a>, o: &mut ObjectWriter<'_>) -> bool {
        let mut steps = reference.strip_prefix("#/").unwrap_or("?").split('/');
        let at = steps.try_fold(self.root, |value, step| self.child(value, &unescaped(step)));
        let length = |value: Value<'_, '_>| value.span().end - value.span().start;
        let is_small = |value: &Value<'_, '_>| self.nested < NESTED && length(*value) <= self.left;
        let Some(value) = at.filter(|value| value.kind() == Kind::Object && is_small(value)) else {
            // A schema in itself, one that stands elsewhere, or one too much: anything goes.
            self.lossy = true;
            return true;
        };
        self.left -= length(value);
        self.nested += 1;
        let leads_on = value.get("$ref").is_some();
        if leads_on {
            self.members(value, o, false);
        } else {
            let own = |key: &str| matches!(key, "description" | "default") && from.get(key).is_some();
            for (key, inner) in value.members().filter(|(key, _)| !own(key)) {
                self.member(&key, inner, value, o, false);
            }
        }
        self.nested -= 1;
        !leads_on
    }
}

/// A step of a JSON pointer (RFC 6901).
fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGUMENTS: Outermost<'_> = Outermost { is_arguments: true, title: None, description: None };

    fn said(schema: &str, outermost: Outermost<'_>) -> (String, bool) {
        let mut out = Vec::new();
        let whole = write(schema, outermost, &mut out);
        (String::from_utf8(out).unwrap(), whole)
    }

    #[test]
    fn a_schema_is_said_as_gemini_takes_it() {
        for (schema, gemini, whole) in [
            (
                r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","additionalProperties":false}"#,
                r#"{"type":"object","additionalProperties":false}"#,
                true,
            ),
            (
                r#"{"properties":{"$schema":{"type":"string"}}}"#,
                r#"{"type":"object","properties":{"$schema":{"type":"string"}}}"#,
                true,
            ),
            (
                r##"{"type":"object","properties":{"a":{"$ref":"#/definitions/P","title":"A","description":"d"}},"definitions":{"P":{"const":"x"}}}"##,
                r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/P","description":"d"}},"$defs":{"P":{"enum":["x"]}}}"##,
                true,
            ),
            (
                r##"{"type":"object","$defs":{"N":{"properties":{"next":{"$ref":"#/$defs/N","minProperties":1}}}}}"##,
                r##"{"type":"object","$defs":{"N":{"properties":{"next":{"$ref":"#/$defs/N"}}}}}"##,
                false,
            ),
            (
                r##"{"type":"object","properties":{"h":{"type":"object","description":"x"},"a":{"items":{"$ref":"#/properties/h","description":"y"}}}}"##,
                r##"{"type":"object","properties":{"h":{"type":"object","description":"x"},"a":{"items":{"type":"object","description":"y"}}}}"##,
                true,
            ),
            (
                r#"{"anyOf":[{"const":1},{"const":true},{"enum":["a"],"const":"a"}]}"#,
                r#"{"type":"object","anyOf":[{"enum":[1]},{"const":true},{"enum":["a"],"const":"a"}]}"#,
                true,
            ),
            ("true", r#"{"type":"object"}"#, true),
            ("[1]", r#"{"type":"object"}"#, false),
        ] {
            assert_eq!(said(schema, ARGUMENTS), (gemini.to_owned(), whole), "{schema}");
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let (text, whole) = said(
            r##"{"properties":{"a":{"$ref":"#/properties/a"},"b":{"$ref":"#"},"c":{"$ref":"http://x"}}}"##,
            ARGUMENTS,
        );
        assert!(!whole && text.len() < 400 && Tree::read(text.as_bytes()).is_ok(), "{text}");
    }

    /// As deep as one can be, each time: properties in properties, and the innermost begins anew.
    #[test]
    fn a_deep_schema_that_refers_to_itself_ends() {
        let depth = (crate::base::json::MAX_DEPTH - 2) / 2;
        let inner = r##"{"$ref":"#/properties/a"}"##;
        let schema = [&r#"{"properties":{"a":"#.repeat(depth), inner, &"}}".repeat(depth)].concat();
        let (text, whole) = said(&schema, Outermost::default());
        assert!(!whole && text.len() < schema.len() * (NESTED + 1), "{}", text.len());
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }

    #[test]
    fn what_references_add_is_bounded() {
        let fan = |to: &str, count: usize| {
            let properties: Vec<_> = (0..count).map(|at| format!(r#""p{at}":{{"$ref":"{to}"}}"#)).collect();
            properties.join(",")
        };
        let to_itself = format!(r##"{{"properties":{{"a":{{"properties":{{{}}}}}}}}}"##, fan("#/properties/a", 50));
        let large = format!(r#"{{"enum":["{}"]}}"#, "x".repeat(MOST / 10));
        let to_large = format!(r##"{{"properties":{{"a":{large},{}}}}}"##, fan("#/properties/a", 5000));
        let unsaid = format!(r##"{{"$ref":"#/$defs/a","x":"{}"}}"##, "x".repeat(MOST / 10));
        let to_unsaid =
            format!(r##"{{"$defs":{{"a":{{}}}},"properties":{{"a":{unsaid},{}}}}}"##, fan("#/properties/a", 5000));
        for (schema, adds) in [(to_itself, 4), (to_large, 1), (to_unsaid, 0)] {
            let (text, whole) = said(&schema, ARGUMENTS);
            assert!(!whole && Tree::read(text.as_bytes()).is_ok());
            let most = schema.len() + MOST.min(schema.len() * FOR_EACH);
            assert!(schema.len() * adds < text.len() && text.len() <= most, "{} of {most}", text.len());
        }
    }

    /// A reference for which nothing is left says what stands beside it.
    #[test]
    fn what_is_too_large_to_be_repeated_is_anything() {
        let large = format!(r#"{{"enum":["{}"]}}"#, "x".repeat(MOST));
        let references = r##""b":{"$ref":"#/$defs/s/small"},"c":{"$ref":"#/properties/a","description":"d"}"##;
        let small = r#""$defs":{"s":{"small":{"type":"null"}}}"#;
        let schema = format!(r#"{{"properties":{{"a":{large},{references}}},{small}}}"#);
        let expected =
            format!(r#"{{"properties":{{"a":{large},"b":{{"type":"null"}},"c":{{"description":"d"}}}},{small}}}"#);
        let (text, whole) = said(&schema, Outermost::default());
        assert!(text == expected && !whole, "{}", text.len());
    }

    #[test]
    fn a_name_becomes_the_title() {
        let outermost = Outermost { is_arguments: false, title: Some("t"), description: Some("d") };
        assert_eq!(
            said(r#"{"type":"array","description":"own"}"#, outermost).0,
            r#"{"title":"t","type":"array","description":"own"}"#
        );
    }
}
