//! The reader of [`super::schema`]'s notation of types: one definition, without its name.

use serde_json::Value;

use super::schema::{Field, Type};

/// What is left of a definition.
struct Reader<'a> {
    rest: &'a str,
}

/// Reads a type.
///
/// # Errors
/// What stands where something else was expected.
pub(super) fn read(text: &str) -> Result<Type, String> {
    let mut reader = Reader { rest: text };
    let kind = reader.either()?;
    reader.skip();
    if reader.rest.is_empty() { Ok(kind) } else { Err(format!("`{}` is left over", reader.rest)) }
}

// === impl Reader ===

impl Reader<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes `mark` where it is next.
    fn take(&mut self, mark: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, mark: &str) -> Result<(), String> {
        if self.take(mark) { Ok(()) } else { Err(format!("`{mark}` should stand before `{}`", self.rest)) }
    }

    /// Takes what `fits`.
    fn word(&mut self, fits: fn(char) -> bool) -> &str {
        self.skip();
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn either(&mut self) -> Result<Type, String> {
        let mut kinds = vec![self.list()?];
        while self.take("|") {
            kinds.push(self.list()?);
        }
        Ok(if kinds.len() == 1 { kinds.swap_remove(0) } else { Type::Either(kinds) })
    }

    fn list(&mut self) -> Result<Type, String> {
        let mut kind = self.one()?;
        while self.take("[]") {
            let (least, most) = self.bounds()?;
            kind = Type::List(Box::new(kind), least, most);
        }
        Ok(kind)
    }

    fn one(&mut self) -> Result<Type, String> {
        if self.take("(") {
            let kind = self.either()?;
            self.expect(")")?;
            return Ok(kind);
        }
        if self.take("{") {
            return self.fields();
        }
        if self.take("\"") {
            let word = self.word(|c| c != '"').to_owned();
            self.expect("\"")?;
            return Ok(Type::Literal(Value::String(word)));
        }
        let name = self.word(|c| c.is_ascii_alphanumeric() || c == '_').to_owned();
        Ok(match name.as_str() {
            "" => return Err(format!("a type should stand before `{}`", self.rest)),
            "any" => Type::Any,
            "object" => Type::Object,
            "bool" => Type::Bool,
            "null" => Type::Null,
            "true" | "false" => Type::Literal(Value::Bool(name == "true")),
            "string" => {
                let (least, most) = self.bounds()?;
                Type::Text(least, most)
            }
            "int" | "number" => {
                let (least, most) = self.bounds()?;
                Type::Number(name == "int", least, most)
            }
            _ => Type::Named(name),
        })
    }

    fn fields(&mut self) -> Result<Type, String> {
        let (mut fields, mut open) = (Vec::new(), false);
        while !self.take("}") {
            if self.take("...") {
                open = true;
            } else {
                let name = self.word(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '-')).to_owned();
                let needed = !self.take("?");
                self.expect(":")?;
                fields.push(Field { name, needed, kind: self.either()? });
            }
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(Type::Fields(fields, open))
    }

    /// `(1,5)`, `(1,)`, `(,5)` or nothing.
    fn bounds(&mut self) -> Result<(f64, f64), String> {
        let mut bounds = (f64::NEG_INFINITY, f64::INFINITY);
        if !self.rest.starts_with('(') {
            return Ok(bounds);
        }
        self.expect("(")?;
        let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-');
        let number = |text: &str, usual| match text {
            "" => Ok(usual),
            text => text.parse().map_err(|_| format!("`{text}` is no number")),
        };
        bounds.0 = number(self.word(digits), bounds.0)?;
        self.expect(",")?;
        bounds.1 = number(self.word(digits), bounds.1)?;
        self.expect(")")?;
        Ok(bounds)
    }
}
