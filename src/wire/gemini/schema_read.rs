//! `parameters` and `responseSchema` of a request, which are OpenAPI 3.0's subset with types in capitals, as
//! the JSON Schema that every other API takes.

use super::spelling::{Bad, fields};
use crate::base::json::tree::Value;
use crate::base::json::{Kind, ObjectWriter, write_object, write_string};

/// The JSON Schema that says what `value` says.
///
/// # Errors
/// For what is no schema.
pub(super) fn read(value: Value<'_, '_>) -> Result<String, Bad> {
    let mut out = Vec::with_capacity(value.raw().len());
    schema(value, &mut out)?;
    // Made of strings and ASCII.
    Ok(String::from_utf8(out).unwrap_or_default())
}

fn schema(value: Value<'_, '_>, out: &mut Vec<u8>) -> Result<(), Bad> {
    if value.kind() != Kind::Object {
        return Err(Bad::Type("schema", "an object"));
    }
    let is_nullable = super::spelling::get(value, "nullable").and_then(Value::flag) == Some(true);
    let mut failed = Ok(());
    let members = fields(value)?;
    write_object(out, |o| {
        for (key, value) in members {
            if failed.is_ok() {
                failed = member(&key, value, is_nullable, o);
            }
        }
    });
    failed
}

fn member(key: &str, value: Value<'_, '_>, is_nullable: bool, o: &mut ObjectWriter<'_>) -> Result<(), Bad> {
    match key {
        "type" => {
            let word = value.text().ok_or(Bad::Type("schema.type", "a type"))?.to_ascii_lowercase();
            match &*word {
                "type_unspecified" => {}
                word if is_nullable && word != "null" => o.array("type", |a| {
                    a.text(word);
                    a.text("null");
                }),
                word => o.text("type", word),
            }
        }
        // OpenAPI marks an enumeration by it; JSON Schema knows no such format.
        "format" if value.text().is_some_and(|format| format == "enum") => {}
        // Said with the type. The order of properties is theirs in the text.
        "nullable" | "propertyOrdering" => {}
        "enum" if is_nullable => {
            let raw = value.raw().trim_end().strip_suffix(']').unwrap_or("[");
            o.raw("enum", &[raw, if value.is_empty() { "null]" } else { ",null]" }].concat());
        }
        "example" => o.array("examples", |a| a.raw(value.raw())),
        "ref" => {
            let text = value.text().ok_or(Bad::Type("schema.ref", "a reference"))?;
            o.text("$ref", &text.replacen("#/defs/", "#/$defs/", 1));
        }
        "properties" | "defs" => {
            let mut inner = Vec::new();
            map(value, &mut inner)?;
            o.raw(if key == "defs" { "$defs" } else { key }, &String::from_utf8(inner).unwrap_or_default());
        }
        "items" | "additionalProperties" if value.kind() == Kind::Object => o.raw(key, &read(value)?),
        "anyOf" => {
            let all: Vec<String> = value.elements().map(read).collect::<Result<_, _>>()?;
            o.array("anyOf", |a| {
                all.iter().for_each(|one| a.raw(one));
                if is_nullable {
                    a.raw(r#"{"type":"null"}"#);
                }
            });
        }
        // proto3 JSON writes numbers of 64 bits as strings.
        "maxItems" | "minItems" | "maxLength" | "minLength" | "maxProperties" | "minProperties" => {
            o.number(key, super::spelling::whole(value, "schema")?);
        }
        key => o.raw(key, value.raw()),
    }
    Ok(())
}

/// Schemas by their names, which stay as they are.
fn map(value: Value<'_, '_>, out: &mut Vec<u8>) -> Result<(), Bad> {
    out.push(b'{');
    for (at, (name, value)) in value.members().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(out, &name);
        out.push(b':');
        schema(value, out)?;
    }
    out.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::json::Tree;

    #[test]
    fn open_api_becomes_json_schema() {
        for (open_api, json) in [
            (r#"{"type":"STRING","format":"enum","enum":["a"]}"#, r#"{"type":"string","enum":["a"]}"#),
            (
                r#"{"type":"OBJECT","properties":{"max_items":{"type":"INTEGER","nullable":true}},"propertyOrdering":["max_items"]}"#,
                r#"{"type":"object","properties":{"max_items":{"type":["integer","null"]}}}"#,
            ),
            (
                r##"{"type":"ARRAY","max_items":"3","items":{"any_of":[{"type":"NUMBER"},{"ref":"#/defs/P"}],"nullable":true}}"##,
                r##"{"type":"array","maxItems":3,"items":{"anyOf":[{"type":"number"},{"$ref":"#/$defs/P"},{"type":"null"}]}}"##,
            ),
            (
                r#"{"defs":{"P":{"type":"TYPE_UNSPECIFIED","example":1}},"additionalProperties":false,"nullable":true,"enum":["x"],"type":"string"}"#,
                r#"{"$defs":{"P":{"examples":[1]}},"additionalProperties":false,"enum":["x",null],"type":["string","null"]}"#,
            ),
        ] {
            let tree = Tree::read(open_api.as_bytes()).unwrap();
            assert_eq!(read(tree.root()).as_deref(), Ok(json));
        }
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for bad in ["[]", r#"{"type":1}"#, r#"{"anyOf":[1]}"#, r#"{"max_items":1,"maxItems":2}"#, r#"{"minItems":"x"}"#]
        {
            assert!(read(Tree::read(bad.as_bytes()).unwrap().root()).is_err(), "{bad}");
        }
    }
}
