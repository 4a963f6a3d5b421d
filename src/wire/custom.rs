//! OpenAI's custom tools, which take a text instead of arguments (guide "Function calling", "Custom tools"; the
//! types of its Python SDK 3.54). To every other API such a tool is a function with that text as its one
//! argument, and so are its calls in the words of [`crate::llm`].

use std::borrow::Cow;

use std::sync::Arc;

use crate::base::json::tree::Value;
use crate::base::json::{Kind, Tree, write_object, write_string};
use crate::llm::chat::Tool;
use crate::llm::{Chat, Dialect, Dropped};

/// The names of a client's custom tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Custom(Option<Arc<[Box<str>]>>);

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

/// The text in the arguments of a call; all of them where they are none of the form.
pub(super) fn text_of(arguments: &str) -> Cow<'_, str> {
    let tree = Tree::read(arguments.as_bytes()).ok();
    let root = tree.as_ref().map(Tree::root).filter(|root| root.kind() == Kind::Object);
    match root {
        Some(root) if root.members().next().is_none() => Cow::Borrowed(""),
        Some(root) if root.members().count() == 1 => {
            let text = root.get("input").and_then(|input| input.text());
            text.map_or(Cow::Borrowed(arguments), |text| Cow::Owned(text.into_owned()))
        }
        _ => Cow::Borrowed(arguments),
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

/// Reads the text out of arguments that come in pieces.
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
    Behind,
    /// It is none of the form: all of it is the text.
    Astray,
}

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
        self.0.as_ref().is_some_and(|names| names.iter().any(|known| **known == *name))
    }
}

impl FromIterator<Box<str>> for Custom {
    fn from_iter<I: IntoIterator<Item = Box<str>>>(names: I) -> Self {
        let mut names = names.into_iter().peekable();
        Custom(names.peek().is_some().then(|| names.collect()))
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
        self.held.push_str(piece);
        if self.place == Place::Before {
            match begins(&self.held) {
                Ok(Some(at)) => {
                    self.held.drain(..at);
                    self.place = Place::Inside;
                }
                Ok(None) => {}
                Err(()) => self.place = Place::Astray,
            }
        }
        if self.place == Place::Inside { self.say() } else { String::new() }
    }

    /// What is left to say at the end.
    pub(super) fn end(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        match self.place {
            Place::Before | Place::Astray => text_of(&held).into_owned(),
            Place::Inside | Place::Behind => String::new(),
        }
    }

    /// Reads on inside of the text, up to what is not whole yet.
    fn say(&mut self) -> String {
        let mut said = String::new();
        let mut at = 0;
        while let Some(c) = self.held.get(at..).and_then(|rest| rest.chars().next()) {
            match c {
                '"' => {
                    self.place = Place::Behind;
                    self.held.clear();
                    return said;
                }
                '\\' => match unescape(self.held.get(at..).unwrap_or_default()) {
                    Some((c, length)) => {
                        said.push(c);
                        at += length;
                    }
                    None => break,
                },
                c => {
                    said.push(c);
                    at += c.len_utf8();
                }
            }
        }
        self.held.drain(..at);
        said
    }
}

/// Where the text begins; nothing where that has not come yet.
fn begins(held: &str) -> Result<Option<usize>, ()> {
    let mut rest = held.trim_start();
    for token in ["{", "\"input\"", ":", "\""] {
        if rest.len() < token.len() {
            return if token.starts_with(rest) { Ok(None) } else { Err(()) };
        }
        rest = rest.strip_prefix(token).ok_or(())?;
        // Inside of the text white space is its own.
        if token != "\"" {
            rest = rest.trim_start();
        }
    }
    Ok(Some(held.len() - rest.len()))
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn in_pieces(arguments: &str, size: usize) -> String {
        let mut text = Text::default();
        let chars: Vec<char> = arguments.chars().collect();
        let mut said: String = chars.chunks(size).map(|piece| text.push(&piece.iter().collect::<String>())).collect();
        said.push_str(&text.end());
        said
    }

    proptest! {
        #[test]
        fn a_text_comes_out_as_it_went_in(text in "[a\"\\\\\n\té\u{1f600}\u{1}/u0-9]{0,40}", size in 1_usize..8) {
            let arguments = arguments(&text);
            prop_assert_eq!(text_of(&arguments), text.clone());
            prop_assert_eq!(in_pieces(&arguments, size), text.clone());
            let spelled = serde_json::to_string_pretty(&serde_json::json!({"input": text})).unwrap();
            prop_assert_eq!(in_pieces(&spelled, size), text);
        }

        #[test]
        fn whatever_comes_is_the_same_in_any_pieces(arguments in "[{}\"input:\\\\ud83de00 a]{0,30}", size in 1_usize..8) {
            prop_assert_eq!(in_pieces(&arguments, size), in_pieces(&arguments, 1000));
        }
    }

    #[test]
    fn what_is_of_another_form_is_the_text_itself() {
        for (arguments, text) in [
            (r#"{ "input" : "a" }"#, "a"),
            (r#"{"input":"\ud83d\ude00\ud83dx\u00e9"}"#, "\u{1f600}\u{fffd}xé"),
            (r#"{"text":"a"}"#, r#"{"text":"a"}"#),
            ("*** Begin Patch", "*** Begin Patch"),
            (r#"{"input":1}"#, r#"{"input":1}"#),
            ("{}", ""),
            ("", ""),
        ] {
            assert_eq!(in_pieces(arguments, 1), text, "{arguments}");
        }
    }

    #[test]
    fn custom_tools_are_found_in_both_apis() {
        for (dialect, body, found) in [
            (Dialect::OpenAi, r#"{"tools":[{"type":"custom","name":"p"},{"type":"function","name":"f"}]}"#, true),
            (Dialect::OpenAi, r#"{"tools":[{"type":"custom","custom":{"name":"p"}}]}"#, true),
            (Dialect::Anthropic, r#"{"tools":[{"type":"custom","name":"p"}]}"#, false),
            (Dialect::OpenAi, r#"{"tools":[],"x":"custom"}"#, false),
            (Dialect::OpenAi, r#"{"tools":[{"type":"custom""#, false),
        ] {
            let custom = Custom::of(dialect, body.as_bytes());
            assert_eq!(
                (custom.has("p"), custom.has("f"), custom == Custom::default()),
                (found, false, !found),
                "{body}"
            );
        }
    }

    #[test]
    fn a_tool_with_a_grammar_tells_the_model_of_it() {
        let format = grammar("lark", "start: \"a\"");
        let tools = vec![tool("p".into(), Some("Patch.".into()), format.into()), tool("q".into(), None, "{}".into())];
        let mut chat = Chat { tools, ..Chat::default() };
        let mut dropped = Dropped::default();
        become_functions(&mut chat, &mut dropped);
        let told = "Patch.\n\nThe input must be a text of this lark grammar:\nstart: \"a\"";
        assert_eq!((chat.tools[0].description.as_deref(), chat.tools[1].description.as_deref()), (Some(told), None));
        assert!(chat.tools.iter().all(|tool| tool.parameters.as_deref() == Some(PARAMETERS) && tool.custom.is_none()));
        assert_eq!(dropped.names(), ["tools[].format"]);
    }
}
