//! A text as tokens: quotations, words, numbers, code, and what stands between sentences.
//!
//! Nothing is lost but white space and the kinds of brackets and punctuation that end a clause: an unknown sign is a
//! token of its own. One pass; what looks ahead remembers what it did not find.

use super::shape;

/// A token and whether a sentence begins with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    /// As it was written, except for numbers (see [`shape`]).
    pub text: String,
    pub starts: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Number,
    Unit,
    /// A time of day.
    Time,
    /// Identifiers and the like: compared as they are.
    Code,
    /// A sign that is no punctuation.
    Sign,
    /// What stood between quotation marks.
    Quoted,
    Comma,
    /// The end of a sentence or clause.
    Break,
}

/// The tokens of a text.
#[derive(Default)]
pub(super) struct Tokens(Vec<Token>);

/// What opens a quotation, and what ends it.
const QUOTES: &[(char, &[char])] = &[
    ('"', &['"']),
    ('`', &['`']),
    ('\u{201c}', &['\u{201d}', '\u{201c}']),
    ('\u{201e}', &['\u{201c}', '\u{201d}']),
    ('\u{ab}', &['\u{bb}']),
    ('\u{300c}', &['\u{300d}']),
    ('\'', &['\'']),
    ('\u{2018}', &['\u{2019}', '\'']),
];

/// Signs of source code; prose has few.
const SOURCE: &[char] = &['{', '}', '=', ';', '<', '>'];
/// From this many signs of code on it is taken for some.
const SOURCE_SIGNS: usize = 4;

pub(super) fn tokens(text: &str) -> Vec<Token> {
    let text = text.trim();
    let mut tokens = Tokens::default();
    if is_source(text) {
        tokens.push(Kind::Code, text.to_owned());
        return tokens.0;
    }
    let (mut rest, mut chunk, mut unclosed) = (text, String::new(), Vec::new());
    while let Some(next) = rest.chars().next() {
        let after = rest.get(next.len_utf8()..).unwrap_or_default();
        if let Some((quoted, behind)) = quotation(next, after, chunk.is_empty(), &mut unclosed) {
            tokens.flush(&mut chunk);
            tokens.push(Kind::Quoted, quoted.to_owned());
            rest = behind;
            continue;
        }
        let number =
            chunk.ends_with(|before: char| before.is_ascii_digit()) && after.starts_with(|c: char| c.is_ascii_digit());
        match next {
            '\n' => tokens.end(&mut chunk, Kind::Break),
            _ if next.is_whitespace() => tokens.flush(&mut chunk),
            '\u{2013}' if number => chunk.push('-'),
            '\u{2013}' | '\u{2014}' | '\u{2026}' | '。' | '！' | '？' | '；' | '：' => {
                tokens.end(&mut chunk, Kind::Break)
            }
            '，' | '、' => tokens.end(&mut chunk, Kind::Comma),
            '（' | '）' => tokens.flush(&mut chunk),
            '\u{2019}' if !chunk.is_empty() => chunk.push('\''),
            _ => chunk.push(next),
        }
        rest = after;
    }
    tokens.flush(&mut chunk);
    tokens.0
}

/// Whether it is, or holds, source code, where every sign and every space can matter.
fn is_source(text: &str) -> bool {
    text.contains("```")
        || text.contains("\n  ")
        || text.contains("\n\t")
        || text.matches(SOURCE).take(SOURCE_SIGNS).count() == SOURCE_SIGNS
}

/// What is quoted from `open` on, and what follows. `unclosed` are the signs that no later one ends.
fn quotation<'a>(open: char, after: &'a str, first: bool, unclosed: &mut Vec<char>) -> Option<(&'a str, &'a str)> {
    let (_, ends) = QUOTES.iter().find(|(sign, _)| *sign == open)?;
    let apostrophe = matches!(open, '\'' | '\u{2018}');
    if unclosed.contains(&open) || (apostrophe && !first) {
        return None;
    }
    let closing = |(at, end): &(usize, &str)| {
        let behind = after.get(at + end.len()..).unwrap_or_default();
        // In "don't" it ends nothing.
        !apostrophe || !behind.starts_with(char::is_alphanumeric)
    };
    match after.match_indices(*ends).find(closing) {
        Some((at, end)) => Some((after.get(..at)?, after.get(at + end.len()..)?)),
        None => {
            unclosed.push(open);
            None
        }
    }
}

// === impl Tokens ===

impl Tokens {
    pub fn push(&mut self, kind: Kind, text: String) {
        let starts = self.0.last().is_none_or(|last| last.kind == Kind::Break);
        self.0.push(Token { kind, text, starts });
    }

    pub fn last(&self) -> Option<&Token> {
        self.0.last()
    }

    /// A comma, or the end of a clause; several are one.
    pub fn stop(&mut self, kind: Kind) {
        match self.0.last_mut() {
            Some(last) if last.kind == Kind::Break || last.kind == kind => {}
            Some(last) if last.kind == Kind::Comma => *last = Token { kind, text: String::new(), starts: false },
            _ => self.push(kind, String::new()),
        }
    }

    fn flush(&mut self, chunk: &mut String) {
        if !chunk.is_empty() {
            shape::split(chunk, self);
            chunk.clear();
        }
    }

    fn end(&mut self, chunk: &mut String, kind: Kind) {
        self.flush(chunk);
        self.stop(kind);
    }
}
