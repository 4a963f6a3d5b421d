//! The names of tools that a provider refuses, made legal on the way there and put back on the way home. Which
//! names are legal:
//!
//! | format | characters | most | source |
//! |---|---|---|---|
//! | Chat, Responses, Converse | `a-z A-Z 0-9 _ -` | 64 | OpenAI API reference "Chat", `tools`; Bedrock API reference "ToolSpecification" |
//! | Messages | the same | 128, and 64 in another cloud's envelope, of which nobody says more | Anthropic's error "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'" |
//! | Gemini | these and `.`, but first a letter or `_` | 64 | Gemini API reference "FunctionDeclaration"; of `:` its versions say different things |
//! | Cohere | `a-z A-Z 0-9 _`, first no digit | 64 | Cohere API v1 "Chat", `tools`; version 2 does not say |
//!
//! Ollama takes any.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::codec::Envelope;
use super::custom;
use super::outbound::Outbound;
use crate::llm::chat::ToolChoice;
use crate::llm::{Chat, Content, Delta, Dropped, Format, Reply};

/// What an answer must know of the tools that its request named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tools {
    /// The client's names by those that left, where they are others.
    renamed: HashMap<Box<str>, Box<str>>,
}

/// Which names are legal.
#[derive(Clone, Copy, Debug)]
struct Rule {
    most: usize,
    /// Beside letters, digits and `_`.
    beside: &'static [char],
    /// Also in the first place.
    digit_first: bool,
}

// === impl Tools ===

impl Tools {
    /// Makes the tools of a chat what its provider takes: in their names, and in what they are.
    pub(super) fn fit(chat: &mut Chat<'_>, to: Outbound, dropped: &mut Dropped) -> Tools {
        if to.format != Format::Responses {
            custom::become_functions(chat, dropped);
        }
        let mut tools = Tools::default();
        if let Some(rule) = Rule::of(to) {
            tools.rename(chat, rule);
        }
        tools
    }

    fn rename(&mut self, chat: &mut Chat<'_>, rule: Rule) {
        let mut fit = |name: &mut Cow<'_, str>| {
            if let Some(legal) = rule.legal(name) {
                self.renamed.insert(legal.as_str().into(), Box::from(&**name));
                *name = Cow::Owned(legal);
            }
        };
        chat.tools.iter_mut().for_each(|tool| fit(&mut tool.name));
        match &mut chat.tool_choice {
            Some(ToolChoice::Named(name)) => fit(name),
            Some(ToolChoice::Among { names, .. }) => names.iter_mut().for_each(&mut fit),
            _ => {}
        }
        for part in chat.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
            match &mut part.content {
                Content::ToolCall(call) => fit(&mut call.name),
                Content::ToolResult(result) => result.name.iter_mut().for_each(&mut fit),
                _ => {}
            }
        }
    }

    /// Puts the client's names into a whole answer.
    pub fn restore(&self, reply: &mut Reply) {
        for part in reply.choices.iter_mut().flat_map(|choice| &mut choice.parts) {
            if let Content::ToolCall(call) = &mut part.content
                && let Some(name) = self.renamed.get(&*call.name)
            {
                call.name = Cow::Owned(name.to_string());
            }
        }
    }

    /// Puts the client's names into a step of a stream.
    pub fn restore_step(&self, delta: &mut Delta) {
        if let Delta::ToolCall { name: Some(name), .. } = delta
            && let Some(known) = self.renamed.get(name.as_str())
        {
            *name = known.to_string();
        }
    }
}

// === impl Rule ===

impl Rule {
    fn of(to: Outbound) -> Option<Rule> {
        let plain = Rule { most: 64, beside: &['-'], digit_first: true };
        Some(match to.format {
            Format::Messages if to.envelope == Envelope::Plain => Rule { most: 128, ..plain },
            Format::Chat | Format::Responses | Format::Converse | Format::Messages => plain,
            Format::Gemini => Rule { beside: &['-', '.'], digit_first: false, ..plain },
            Format::Cohere => Rule { beside: &[], digit_first: false, ..plain },
            Format::Ollama => return None,
        })
    }

    /// Another name, where this one is refused: what of it is legal, and what tells it from others.
    fn legal(self, name: &str) -> Option<String> {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || self.beside.contains(&c);
        let begins = |c: char| c.is_ascii_alphabetic() || c == '_' || self.digit_first;
        if name.len() <= self.most && name.chars().all(is_legal) && name.starts_with(begins) {
            return None;
        }
        const DIGITS: usize = 8;
        let mut legal = String::with_capacity(self.most);
        if !name.starts_with(|c| begins(c) && is_legal(c)) {
            legal.push('_');
        }
        let kept = self.most - DIGITS - 1 - legal.len();
        legal.extend(name.chars().take(kept).map(|c| if is_legal(c) { c } else { '_' }));
        legal.push('_');
        for byte in &Sha256::digest(name.as_bytes())[..DIGITS / 2] {
            let _ = write!(legal, "{byte:02x}");
        }
        Some(legal)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::llm::chat::{Role, Tool};
    use crate::llm::part::{ToolCall, ToolResult};
    use crate::llm::reply::Choice;
    use crate::llm::{Fold, Part};

    fn to(format: Format) -> Outbound {
        Outbound { format, envelope: Envelope::Plain }
    }

    #[test]
    fn legal_names_stay_and_others_are_told_apart() {
        let long = "x".repeat(70);
        for (format, name, legal) in [
            (Format::Chat, "get_user-1", true),
            (Format::Chat, "files.read", false),
            (Format::Chat, long.as_str(), false),
            (Format::Messages, long.as_str(), true),
            (Format::Messages, "a b", false),
            (Format::Gemini, "files.read-all", true),
            (Format::Gemini, "1st", false),
            (Format::Converse, "1st", true),
            (Format::Cohere, "get-user", false),
            (Format::Ollama, "any thing", true),
            (Format::Responses, "", false),
        ] {
            let renamed = Rule::of(to(format)).and_then(|rule| rule.legal(name));
            assert_eq!(renamed.is_none(), legal, "{format} {name} {renamed:?}");
        }
        let rule = Rule::of(to(Format::Chat)).unwrap();
        assert_ne!(rule.legal("a.b"), rule.legal("a:b"));
        assert_eq!(rule.legal("a.b"), rule.legal("a.b"));
    }

    proptest! {
        #[test]
        fn every_name_becomes_legal_and_comes_back(
            names in prop::collection::hash_set("[a1_.:/é -]{0,80}", 1..6),
            format in prop::sample::select(Format::ALL.to_vec()),
        ) {
            let names: Vec<String> = names.into_iter().collect();
            let calls = names.iter().map(|name| {
                Part::new(Content::ToolCall(ToolCall { id: "i".into(), name: name.clone().into(), ..ToolCall::default() }))
            });
            let results = names.iter().map(|name| {
                Part::new(Content::ToolResult(ToolResult {
                    id: "i".into(), name: Some(name.clone().into()), parts: Vec::new(), is_error: false,
                }))
            });
            let mut chat = Chat {
                tools: names.iter().map(|name| Tool { name: name.clone().into(), ..Tool::default() }).collect(),
                tool_choice: Some(ToolChoice::Named(names[0].clone().into())),
                ..Chat::default()
            };
            chat.say(Role::Assistant, calls);
            chat.say(Role::User, results);
            let tools = Tools::fit(&mut chat, to(format), &mut Dropped::default());
            let left: Vec<String> = chat.tools.iter().map(|tool| tool.name.to_string()).collect();
            if let Some(rule) = Rule::of(to(format)) {
                prop_assert!(left.iter().all(|name| rule.legal(name).is_none()), "{:?}", left);
            }
            // One name has one name, wherever it stands.
            for (turn, name) in chat.turns.iter().flat_map(|turn| turn.parts.iter().zip(&left)) {
                match &turn.content {
                    Content::ToolCall(call) => prop_assert_eq!(&call.name, name),
                    Content::ToolResult(result) => prop_assert_eq!(result.name.as_deref(), Some(&**name)),
                    _ => {}
                }
            }
            prop_assert_eq!(&chat.tool_choice, &Some(ToolChoice::Named(left[0].clone().into())));
            let calls = left.iter().map(|name| {
                Part::new(Content::ToolCall(ToolCall { id: "i".into(), name: name.clone().into(), ..ToolCall::default() }))
            });
            let mut reply = Reply { choices: vec![Choice { parts: calls.collect(), ..Choice::default() }], ..Reply::default() };
            let mut fold = Fold::default();
            for mut step in reply.steps() {
                tools.restore_step(&mut step);
                fold.push(&step);
            }
            tools.restore(&mut reply);
            let back: Vec<String> = reply.choices[0].tool_calls().map(|call| call.name.to_string()).collect();
            prop_assert_eq!(&back, &names);
            let streamed = fold.complete().expect("a whole answer");
            let back: Vec<String> = streamed.choices[0].tool_calls().map(|call| call.name.to_string()).collect();
            prop_assert_eq!(&back, &names);
        }
    }
}
