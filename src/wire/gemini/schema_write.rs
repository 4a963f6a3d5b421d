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

use crate::base::json::tree::Value;
use crate::base::json::{Kind, ObjectWriter, Tree, write_object, write_string};

/// How often what is referred to is put in its place, one inside of another: a schema may refer to itself.
const NESTED: usize = 6;

/// How much larger than this a schema may become by that, in bytes.
const MOST: usize = 256 << 10;

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
    let mut writer = Writer { root, renames, nested: 0, lossy: false };
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

impl Writer<'_, '_> {
    fn schema(&mut self, value: Value<'_, '_>, out: &mut Vec<u8>) {
        match value.kind() {
            Kind::Object => write_object(out, |o| self.members(value, o, false)),
            _ => out.extend_from_slice(value.raw().as_bytes()),
        }
    }

    fn members(&mut self, value: Value<'_, '_>, o: &mut ObjectWriter<'_>, is_outermost: bool) {
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
        value: Value<'_, '_>,
        parent: Value<'_, '_>,
        o: &mut ObjectWriter<'_>,
        is_outermost: bool,
    ) {
        let mut inner = Vec::new();
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
                self.map(value, &mut inner);
            }
            (
                "items" | "additionalProperties" | "not" | "if" | "then" | "else" | "contains" | "propertyNames",
                Kind::Object,
            ) => self.schema(value, &mut inner),
            ("anyOf" | "oneOf" | "allOf" | "prefixItems" | "items", Kind::Array) => self.list(value, &mut inner),
            _ => return o.raw(name, value.raw()),
        }
        o.raw(name, &String::from_utf8(inner).unwrap_or_default());
    }

    fn map(&mut self, value: Value<'_, '_>, out: &mut Vec<u8>) {
        out.push(b'{');
        for (at, (name, value)) in value.members().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_string(out, &name);
            out.push(b':');
            self.schema(value, out);
        }
        out.push(b'}');
    }

    fn list(&mut self, value: Value<'_, '_>, out: &mut Vec<u8>) {
        out.push(b'[');
        for (at, value) in value.elements().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            self.schema(value, out);
        }
        out.push(b']');
    }

    /// A reference to a child of the outermost definitions, as it is said here.
    fn named(&self, reference: &str) -> Option<String> {
        let (place, name) = match reference.strip_prefix("#/$defs/") {
            Some(name) => ("$defs", name),
            None => ("definitions", reference.strip_prefix("#/definitions/").filter(|_| self.renames)?),
        };
        let known = !name.contains('/') && self.root.get(place)?.get(&unescaped(name)).is_some();
        known.then(|| ["#/$defs/", name].concat())
    }

    /// Writes the members of what a reference of `from` points to, but for those that may stand beside it
    /// there. False where these may not be written any more.
    fn pointed(&mut self, reference: &str, from: Value<'_, '_>, o: &mut ObjectWriter<'_>) -> bool {
        let mut at = Some(self.root);
        for step in reference.strip_prefix("#/").unwrap_or("?").split('/') {
            let step = unescaped(step);
            at = at.and_then(|value| match value.kind() {
                Kind::Array => value.elements().nth(step.parse().ok()?),
                _ => value.get(&step),
            });
        }
        let is_small = self.nested < NESTED && self.root.raw().len() < MOST;
        let Some(value) = at.filter(|value| value.kind() == Kind::Object && is_small) else {
            // A schema in itself, or one that stands elsewhere: anything goes.
            self.lossy = true;
            return true;
        };
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

    #[test]
    fn a_name_becomes_the_title() {
        let outermost = Outermost { is_arguments: false, title: Some("t"), description: Some("d") };
        assert_eq!(
            said(r#"{"type":"array","description":"own"}"#, outermost).0,
            r#"{"title":"t","type":"array","description":"own"}"#
        );
    }
}
