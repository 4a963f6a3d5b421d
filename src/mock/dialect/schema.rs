//! Which requests are legal, written as data: a small notation of types, one definition a line, and the
//! first fault of a value in it, with its place.
//!
//! ```text
//! // a comment
//! Request = { model: string, max_tokens: int(1,), system?: string | Text[], metadata?: null | object }
//! Text = { type: "text", text: string }
//! ```
//!
//! `any`, `object`, `string`, `bool`, `null`, `int` and `number` are built in, and `T[]` is a list. Numbers,
//! strings (by length) and lists (by length) may have bounds: `int(1,)`, `string(1,64)`, `T[](1,)`. A field is
//! needed unless its name ends with `?`. A field that is not written is a fault, unless the object ends with
//! `...`.

use std::collections::BTreeMap;

use serde_json::Value;

/// The definitions of one file.
#[derive(Debug)]
pub(in crate::mock) struct Schema {
    types: BTreeMap<String, Type>,
    /// As proto3 JSON: `null` is as if a field were not there, and `max_tokens` is `maxTokens` too.
    proto: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    Any,
    Object,
    Bool,
    Null,
    /// Of so many bytes, at least and at most.
    Text(f64, f64),
    /// A number within bounds; whole where `true`.
    Number(bool, f64, f64),
    Literal(Value),
    /// Of so many elements, at least and at most.
    List(Box<Type>, f64, f64),
    Fields(Vec<Field>, bool),
    Either(Vec<Type>),
    Named(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) needed: bool,
    pub(super) kind: Type,
}

/// The first thing wrong with a value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::mock) struct Fault {
    pub(in crate::mock) path: Vec<Step>,
    pub(in crate::mock) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mock) enum Step {
    Field(String),
    Element(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::mock) enum What {
    /// The field of the path is needed and not there.
    Missing,
    /// Nobody knows the field of the path.
    Unknown,
    /// It should be one of these, and is something else.
    Kind(Vec<String>),
    /// It is none of these words.
    Word(Vec<String>),
    /// It is smaller, shorter, larger than this.
    Least(f64),
    Most(f64),
}

// === impl Schema ===

impl Schema {
    /// Reads the notation.
    ///
    /// # Errors
    /// The line and what is wrong with it.
    pub(in crate::mock) fn parse(text: &str, proto: bool) -> Result<Schema, String> {
        let mut types = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with("//") {
                continue;
            }
            let wrong = |what: String| format!("line {}: {what}", number + 1);
            let (name, rest) = line.split_once(" = ").ok_or_else(|| wrong("no ` = `".into()))?;
            let kind = super::notation::read(rest).map_err(wrong)?;
            if types.insert(name.to_owned(), kind).is_some() {
                return Err(wrong(format!("{name} is there twice")));
            }
        }
        let schema = Schema { types, proto };
        match schema.types.values().find_map(|kind| schema.lost(kind)) {
            Some(name) => Err(format!("{name} is used and not defined")),
            None => Ok(schema),
        }
    }

    /// The first fault of `value` as a `name`.
    ///
    /// # Errors
    /// That fault.
    pub(in crate::mock) fn check(&self, name: &str, value: &Value) -> Result<(), Fault> {
        self.value(&Type::Named(name.into()), value, &mut Vec::new())
    }

    /// A name in `kind` that is not defined.
    fn lost(&self, kind: &Type) -> Option<String> {
        match kind {
            Type::Named(name) => (!self.types.contains_key(name)).then(|| name.clone()),
            Type::List(inner, ..) => self.lost(inner),
            Type::Either(kinds) => kinds.iter().find_map(|kind| self.lost(kind)),
            Type::Fields(fields, _) => fields.iter().find_map(|field| self.lost(&field.kind)),
            _ => None,
        }
    }

    fn value(&self, kind: &Type, value: &Value, path: &mut Vec<Step>) -> Result<(), Fault> {
        let within = |size: f64, least: f64, most: f64| match () {
            () if size < least => Err(What::Least(least)),
            () if size > most => Err(What::Most(most)),
            () => Ok(()),
        };
        let result = match (kind, value) {
            (Type::Named(name), _) => return self.value(self.types.get(name).unwrap_or(&Type::Any), value, path),
            (Type::Either(kinds), _) => return self.either(kinds, value, path),
            (Type::Fields(fields, open), Value::Object(object)) => return self.fields(fields, *open, object, path),
            (Type::List(inner, min, max), Value::Array(list)) => {
                for (index, element) in list.iter().enumerate() {
                    path.push(Step::Element(index));
                    self.value(inner, element, path)?;
                    path.pop();
                }
                within(list.len() as f64, *min, *max)
            }
            (Type::Number(whole, min, max), Value::Number(number)) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                match *whole && number.fract() != 0.0 {
                    true => Err(What::Kind(vec![kind.name()])),
                    false => within(number, *min, *max),
                }
            }
            (Type::Text(min, max), Value::String(text)) => within(text.len() as f64, *min, *max),
            (Type::Literal(Value::String(word)), Value::String(said)) if word != said => {
                Err(What::Word(vec![word.clone()]))
            }
            (Type::Literal(literal), value) if literal == value => Ok(()),
            (Type::Any, _)
            | (Type::Object, Value::Object(_))
            | (Type::Bool, Value::Bool(_))
            | (Type::Null, Value::Null) => Ok(()),
            _ => Err(What::Kind(vec![kind.name()])),
        };
        result.map_err(|what| Fault { path: path.clone(), what })
    }

    fn fields(
        &self,
        fields: &[Field],
        open: bool,
        object: &serde_json::Map<String, Value>,
        path: &mut Vec<Step>,
    ) -> Result<(), Fault> {
        let named = |key: &str, field: &Field| field.name == key || (self.proto && snake(&field.name) == key);
        let there = |field: &Field| {
            let found = object.iter().find(|(key, _)| named(key, field)).map(|(_, value)| value);
            found.filter(|value| !(self.proto && value.is_null()))
        };
        let at = |path: &[Step], name: &str, what| {
            let mut path = path.to_vec();
            path.push(Step::Field(name.to_owned()));
            Err(Fault { path, what })
        };
        // Words first: they tell which of several objects this is.
        let (words, others): (Vec<_>, Vec<_>) = fields.iter().partition(|field| field.kind.is_word());
        for field in words.iter().copied() {
            self.field(field, there(field), path)?;
        }
        if let Some((key, _)) = object.iter().find(|(key, _)| !open && !fields.iter().any(|field| named(key, field))) {
            return at(path, key, What::Unknown);
        }
        if let Some(field) = others.iter().find(|field| field.needed && there(field).is_none()) {
            return at(path, &field.name, What::Missing);
        }
        others.into_iter().try_for_each(|field| self.field(field, there(field), path))
    }

    fn field(&self, field: &Field, value: Option<&Value>, path: &mut Vec<Step>) -> Result<(), Fault> {
        path.push(Step::Field(field.name.clone()));
        match value {
            Some(value) => self.value(&field.kind, value, path)?,
            None if field.needed => return Err(Fault { path: path.clone(), what: What::Missing }),
            None => {}
        }
        path.pop();
        Ok(())
    }

    /// The fault of the kind that the value most likely was meant to be: the one whose words it says, or that
    /// went deepest.
    fn either(&self, kinds: &[Type], value: &Value, path: &mut Vec<Step>) -> Result<(), Fault> {
        let depth = path.len();
        let mut best: Option<(u8, usize, Fault)> = None;
        for kind in kinds {
            path.truncate(depth);
            let Err(fault) = self.value(kind, value, path) else {
                path.truncate(depth);
                return Ok(());
            };
            let rank = match &fault.what {
                What::Kind(_) if fault.path.len() == depth => 0,
                _ if self.is_meant(kind, value) => 2,
                _ => 1,
            };
            match &mut best {
                Some((old, deep, known)) if (*old, *deep) == (rank, fault.path.len()) && rank < 2 => known.add(fault),
                Some((old, deep, _)) if (*old, *deep) >= (rank, fault.path.len()) => {}
                best => *best = Some((rank, fault.path.len(), fault)),
            }
        }
        path.truncate(depth);
        best.map_or(Ok(()), |(.., fault)| Err(fault))
    }

    /// Whether an object has a word of this kind of object.
    fn is_meant(&self, kind: &Type, value: &Value) -> bool {
        match kind {
            Type::Named(name) => self.types.get(name).is_some_and(|kind| self.is_meant(kind, value)),
            Type::Either(kinds) => kinds.iter().any(|kind| self.is_meant(kind, value)),
            Type::Fields(fields, _) => {
                let tags = fields.iter().filter(|field| TAGS.contains(&&*field.name));
                tags.into_iter().any(|tag| value.get(&tag.name).is_some_and(|word| self.has_word(&tag.kind, word)))
            }
            _ => false,
        }
    }

    fn has_word(&self, kind: &Type, word: &Value) -> bool {
        match kind {
            Type::Named(name) => self.types.get(name).is_some_and(|kind| self.has_word(kind, word)),
            Type::Either(kinds) => kinds.iter().any(|kind| self.has_word(kind, word)),
            Type::Literal(literal) => literal == word,
            _ => false,
        }
    }
}

/// Which fields tell one object from another.
const TAGS: &[&str] = &["type", "role"];

// === impl Type ===

impl Type {
    fn name(&self) -> String {
        match self {
            Type::Any => "any",
            Type::Object | Type::Fields(..) | Type::Named(_) => "object",
            Type::Bool => "boolean",
            Type::Null => "null",
            Type::Text(..) | Type::Literal(Value::String(_)) => "string",
            Type::Literal(_) => "constant",
            Type::Number(true, ..) => "integer",
            Type::Number(false, ..) => "number",
            Type::List(..) => "array",
            Type::Either(_) => "union",
        }
        .into()
    }

    /// One word, as the `type` of an object is.
    fn is_word(&self) -> bool {
        matches!(self, Type::Literal(Value::String(_)))
    }
}

// === impl Fault ===

impl Fault {
    /// Takes the words or kinds of another fault of the same sort in as well.
    fn add(&mut self, other: Fault) {
        match (&mut self.what, other.what) {
            (What::Kind(known), What::Kind(more)) | (What::Word(known), What::Word(more)) => {
                known.extend(more.into_iter().filter(|word| !known.contains(word)).collect::<Vec<_>>());
            }
            _ => {}
        }
    }

    /// The place as `a.0.b`.
    pub(in crate::mock) fn dotted(&self) -> String {
        let step = |step: &Step| match step {
            Step::Field(name) => name.clone(),
            Step::Element(index) => index.to_string(),
        };
        self.path.iter().map(step).collect::<Vec<_>>().join(".")
    }

    /// The place as `a[0].b`.
    pub(in crate::mock) fn indexed(&self) -> String {
        let mut out = String::new();
        for step in &self.path {
            match step {
                Step::Field(name) if out.is_empty() => out.push_str(name),
                Step::Field(name) => out.push_str(&format!(".{name}")),
                Step::Element(index) => out.push_str(&format!("[{index}]")),
            }
        }
        out
    }
}

/// `maxTokens` as `max_tokens`.
pub(in crate::mock) fn snake(name: &str) -> String {
    let letter = |letter: char| match letter.is_ascii_uppercase() {
        true => vec!['_', letter.to_ascii_lowercase()],
        false => vec![letter],
    };
    name.chars().flat_map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const EXAMPLE: &str = "// a comment\n\nRequest = { n: int(1,5), said?: null | One[](1,), more?: { ... } }\n\
        One = Two | { type: \"b\", text: string(1,2) }\nTwo = { type: \"a\", maxSize: number(,1.5) }";

    #[test]
    fn a_fault_is_the_one_of_what_was_meant() {
        let schema = Schema::parse(EXAMPLE, false).unwrap();
        let rows = [
            (json!({}), "n", What::Missing),
            (json!({"n": 0}), "n", What::Least(1.0)),
            (json!({"n": 6}), "n", What::Most(5.0)),
            (json!({"n": 1.5}), "n", What::Kind(vec!["integer".into()])),
            (json!({"n": null}), "n", What::Kind(vec!["integer".into()])),
            (json!({"n": 1, "x": 1}), "x", What::Unknown),
            (json!({"n": 1, "said": 1}), "said", What::Kind(vec!["null".into(), "array".into()])),
            (json!({"n": 1, "said": []}), "said", What::Least(1.0)),
            (json!({"n": 1, "said": [{"type": "c"}]}), "said.0.type", What::Word(vec!["a".into(), "b".into()])),
            (json!({"n": 1, "said": [{"type": "b"}]}), "said.0.text", What::Missing),
            (json!({"n": 1, "said": [{"type": "a", "maxSize": 2}]}), "said.0.maxSize", What::Most(1.5)),
            (json!({"n": 1, "said": [{"type": "b", "text": "abc"}]}), "said.0.text", What::Most(2.0)),
        ];
        for (value, place, what) in rows {
            let fault = schema.check("Request", &value).unwrap_err();
            assert_eq!((fault.dotted(), fault.what), (place.to_owned(), what), "{value}");
        }
        let legal = json!({"n": 5, "said": [{"type": "a", "maxSize": 1.5}], "more": {"any": 1}});
        assert_eq!(schema.check("Request", &legal), Ok(()));
        let proto = Schema::parse(EXAMPLE, true).unwrap();
        let snaked = json!({"n": 1, "said": [{"type": "a", "max_size": 1}], "more": null});
        assert_eq!((proto.check("Request", &snaked), schema.check("Request", &snaked).is_err()), (Ok(()), true));
    }

    #[test]
    fn a_wrong_notation_is_an_error() {
        for text in
            ["A", "A = ", "A = { b }", "A = B", "A = int(x,)", "A = \"b", "A = (int", "A = int int", "A = any\nA = any"]
        {
            assert!(Schema::parse(text, false).is_err(), "{text}");
        }
    }
}
