//! OpenAI's custom tools, which take a text instead of arguments (guide "Function calling", "Custom tools"; the
//! types of its Python SDK 3.54). To every other API such a tool is a function with that text as its one
//! argument, and so are its calls in the words of [`crate::llm`].

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use crate::base::json::tree::Value;
use crate::base::json::{Tree, write_object, write_string};
use crate::llm::chat::Tool;
use crate::llm::{Chat, Dialect, Dropped};

/// The names of a client's custom tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Custom(Option<Arc<HashSet<Box<str>>>>);

/// The parameters of a function that takes a text.
const PARAMETERS: &str =
    r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;

/// How the arguments with a text begin, and how they end.
pub(super) const OPEN: &str = r#"{"input":""#;
pub(super) const CLOSE: &str = r#""}"#;

/// The arguments of a call with this text.
pub(super) fn arguments(text: &str) -> String {
    [OPEN, &escaped(text), CLOSE].concat()
}

/// A piece of a text as it stands between [`OPEN`] and [`CLOSE`].
pub(super) fn escaped(text: &str) -> String {
    let mut quoted = Vec::with_capacity(text.len() + 8);
    write_string(&mut quoted, text);
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    String::from_utf8_lossy(inner).into_owned()
}

/// The text in the arguments of a call; all of them where they are none of the form. It is what [`Text`] reads of
/// them.
pub(super) fn text_of(arguments: &str) -> Cow<'_, str> {
    let mut text = Text::default();
    match begins(arguments) {
        Begins::Not => Cow::Borrowed(arguments),
        _ => {
            let said = text.push(arguments);
            Cow::Owned(said + &text.end())
        }
    }
}

/// Makes functions of a chat's custom tools. Nobody holds the model to a grammar then:
/// it is told of it, and it is named.
pub(super) fn become_functions(chat: &mut Chat<'_>, dropped: &mut Dropped) {
    for tool in &mut chat.tools {
        let Some(format) = tool.custom.take() else { continue };
        tool.parameters = Some(Cow::Borrowed(PARAMETERS));
        let tree = Tree::read(format.as_bytes()).ok();
        let text = |key: &str| tree.as_ref()?.root().get(key)?.text().map(Cow::into_owned);
        let Some(definition) = text("definition") else { continue };
        dropped.field("tools[].format");
        let syntax = text("syntax").unwrap_or_default();
        let told = tool.description.as_deref().unwrap_or_default();
        let grammar = format!("The input must be a text of this {syntax} grammar:\n{definition}");
        tool.description = Some(if told.is_empty() { grammar } else { format!("{told}\n\n{grammar}") }.into());
    }
}

/// The names of a chat's custom tools.
pub(super) fn names(chat: &Chat<'_>) -> Custom {
    chat.tools.iter().filter(|tool| tool.custom.is_some()).map(|tool| Box::from(&*tool.name)).collect()
}

/// A custom tool of this format; `{}` where nothing is said of it.
pub(super) fn tool<'a>(name: Cow<'a, str>, description: Option<Cow<'a, str>>, format: Cow<'a, str>) -> Tool<'a> {
    Tool { name, description, custom: Some(format), ..Tool::default() }
}

/// The format of a grammar.
pub(super) fn grammar(syntax: &str, definition: &str) -> String {
    let mut format = Vec::with_capacity(definition.len() + 64);
    write_object(&mut format, |o| {
        o.text("type", "grammar");
        o.text("syntax", syntax);
        o.text("definition", definition);
    });
    String::from_utf8(format).unwrap_or_default()
}

/// Reads the text out of arguments that come in pieces. What is kept of them is small: [`MOST`] bytes in front of
/// the text, and the beginning of an escape in it.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// What came and is not said yet.
    held: String,
    place: Place,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// In front of the text.
    #[default]
    Before,
    Inside,
    /// What comes here says nothing.
    Behind,
    /// It is none of the form: all of it is the text.
    Astray,
}

/// How arguments begin.
#[derive(Debug, PartialEq, Eq)]
enum Begins {
    /// With the form, whose text is behind so many bytes.
    With(usize),
    /// They are too short to tell, or an object without members.
    Open,
    Not,
}

/// The longest beginning of the form, in bytes: between its tokens there may be white space.
const MOST: usize = 1 << 10;

// === impl Custom ===

impl Custom {
    /// Those that a request body names.
    pub fn of(dialect: Dialect, body: &[u8]) -> Custom {
        // Hardly anybody has any, and it is the whole body that is read for them.
        if dialect != Dialect::OpenAi || memchr::memmem::find(body, b"\"custom\"").is_none() {
            return Custom::default();
        }
        let Ok(tree) = Tree::read(body) else { return Custom::default() };
        let name = |tool: Value<'_, '_>| {
            let is_custom = tool.get("type")?.text()? == "custom";
            let name = tool.get("custom").unwrap_or(tool).get("name")?.text()?;
            is_custom.then(|| Box::from(&*name))
        };
        Custom::from_iter(tree.root().get("tools").into_iter().flat_map(Value::elements).filter_map(name))
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.as_ref().is_some_and(|names| names.contains(name))
    }
}

impl FromIterator<Box<str>> for Custom {
    fn from_iter<I: IntoIterator<Item = Box<str>>>(names: I) -> Self {
        let mut names = names.into_iter().peekable();
        Custom(names.peek().is_some().then(|| Arc::new(names.collect())))
    }
}

// === impl Text ===

impl Text {
    /// Bytes that are kept.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// The text has come to its end.
    pub(super) fn is_whole(&self) -> bool {
        self.place == Place::Behind
    }

    /// The text in this piece, as far as it can be said.
    pub(super) fn push(&mut self, piece: &str) -> String {
        match self.place {
            Place::Before => self.begin(piece),
            Place::Inside if self.held.is_empty() => self.say(piece),
            Place::Inside => {
                let joined = std::mem::take(&mut self.held) + piece;
                self.say(&joined)
            }
            Place::Behind => String::new(),
            Place::Astray => piece.to_owned(),
        }
    }

    fn begin(&mut self, piece: &str) -> String {
        let held = std::mem::take(&mut self.held) + piece;
        match begins(&held) {
            Begins::With(at) => {
                self.place = Place::Inside;
                self.say(held.get(at..).unwrap_or_default())
            }
            Begins::Open => {
                self.held = held;
                String::new()
            }
            Begins::Not => {
                self.place = Place::Astray;
                held
            }
        }
    }

    /// What is left to say at the end.
    pub(super) fn end(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        match self.place {
            Place::Before if !held.trim().ends_with('}') => held,
            // An object without members, or half an escape.
            _ => String::new(),
        }
    }

    /// Reads on inside of the text, up to what is not whole yet.
    fn say(&mut self, text: &str) -> String {
        let mut said = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let (c, length) = match c {
                '"' => {
                    self.place = Place::Behind;
                    return said;
                }
                '\\' => match unescape(rest) {
                    Some(read) => read,
                    None => break,
                },
                c => (c, c.len_utf8()),
            };
            said.push(c);
            rest = rest.get(length..).unwrap_or_default();
        }
        rest.clone_into(&mut self.held);
        said
    }
}

/// How arguments begin, of which this much is there.
fn begins(held: &str) -> Begins {
    let open = if held.len() <= MOST { Begins::Open } else { Begins::Not };
    let mut rest = held.trim_start();
    for token in ["{", "\"input\"", ":", "\""] {
        let Some(behind) = rest.strip_prefix(token) else {
            let is_empty = token.len() > 1 && rest.strip_prefix('}').is_some_and(|behind| behind.trim().is_empty());
            return if token.starts_with(rest) || is_empty { open } else { Begins::Not };
        };
        // Inside of the text white space is its own.
        rest = if token == "\"" { behind } else { behind.trim_start() };
    }
    match held.len() - rest.len() {
        at if at <= MOST => Begins::With(at),
        _ => Begins::Not,
    }
}

/// The character of an escape (RFC 8259, 7) and the bytes that spell it; nothing where it is not whole. Half of a
/// pair stands for nothing.
fn unescape(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| u32::from_str_radix(text.get(at..at + 4)?, 16).ok();
    let c = match text.as_bytes().get(1)? {
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' if text.len() < 6 => return None,
        b'u' => {
            let high = unit(2).unwrap_or(0xfffd);
            if !(0xd800..0xdc00).contains(&high) {
                return Some((char::from_u32(high).unwrap_or('\u{fffd}'), 6));
            }
            let is_paired = "\\u".starts_with(text.get(6..8.min(text.len())).unwrap_or_default());
            if text.len() < 12 && is_paired {
                return None;
            }
            let low = unit(8).filter(|low| is_paired && (0xdc00..0xe000).contains(low));
            let Some(low) = low else { return Some(('\u{fffd}', 6)) };
            let c = char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00));
            return Some((c.unwrap_or('\u{fffd}'), 12));
        }
        &other => char::from(other),
    };
    Some((c, 2))
}

#[cfg(test)]
mod tests;
