//! Rust source as tokens, for the checks on the source tree. It is a lexer and no parser: it knows
//! strings, characters, lifetimes and comments, and finds functions and paths by their brackets.

/// What a token is. Comments and white space are no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ident,
    /// One character, except `::`, which is one token.
    Punct,
    /// A string, character or number.
    Literal,
    Lifetime,
}

#[derive(Clone, Debug)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    /// From 1.
    pub line: usize,
}

/// A path as it is meant: `use a::{b, c::d};` gives `a::b` and `a::c::d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    pub segments: Vec<String>,
    pub line: usize,
    /// Whether it stands in a `use`.
    pub imported: bool,
}

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub line: usize,
    /// From the line of `fn` to the line of the closing brace, both counted.
    pub lines: usize,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

/// The tokens of `text`.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { text, at: 0, line: 1 };
    let mut all = Vec::new();
    while let Some(token) = lexer.next() {
        all.push(token);
    }
    all
}

/// The tokens without those of items under `#[cfg(test)]`.
pub fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].iter().map(|token| token.text).take(MARK.len()).eq(MARK) {
            at = end_of_item(tokens, at + MARK.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Every path, from its first name on; a name alone is a path too. Fields and methods are none.
pub fn paths(tokens: &[Token<'_>]) -> Vec<Path> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].kind == Kind::Ident && begins_path(&tokens[..at]) {
            let imported = tokens[..at].iter().rev().find(|token| token.text != "::").is_some_and(is_use);
            at = path_at(tokens, at, &[], imported, &mut all);
        } else {
            at += 1;
        }
    }
    all
}

/// Every function that has a body, also one inside another.
pub fn functions(tokens: &[Token<'_>]) -> Vec<Function> {
    let mut all = Vec::new();
    for at in 0..tokens.len().saturating_sub(1) {
        if tokens[at].text != "fn" || tokens[at + 1].kind != Kind::Ident {
            continue;
        }
        let last = &tokens[end_of_item(tokens, at) - 1];
        if last.text == "}" {
            let lines = last.line - tokens[at].line + 1;
            all.push(Function { name: tokens[at + 1].text.into(), line: tokens[at].line, lines });
        }
    }
    all
}

/// The index after the item that begins at `at`: after its `;`, or after its braces where they close,
/// whichever comes first outside all other brackets.
fn end_of_item(tokens: &[Token<'_>], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        if token.kind != Kind::Punct {
            continue;
        }
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(token.text, ";" | "}") {
            return index + 1;
        }
    }
    tokens.len()
}

/// Reads the path at `at` into `all` and gives the index after it.
fn path_at(tokens: &[Token<'_>], at: usize, prefix: &[String], imported: bool, all: &mut Vec<Path>) -> usize {
    let line = tokens[at].line;
    let mut segments = prefix.to_vec();
    let mut next = at;
    loop {
        match tokens.get(next) {
            Some(token) if token.kind == Kind::Ident || token.text == "*" => segments.push(token.text.into()),
            Some(token) if token.text == "{" => return group_at(tokens, next + 1, &segments, imported, all),
            // The end of the file, or `Vec::<u8>`.
            _ => break,
        }
        next += 1;
        if tokens.get(next).is_none_or(|token| token.text != "::") {
            break;
        }
        next += 1;
    }
    all.push(Path { segments, line, imported });
    next.max(at + 1)
}

/// Reads `b, c::d}` after `a::{`.
fn group_at(tokens: &[Token<'_>], at: usize, prefix: &[String], imported: bool, all: &mut Vec<Path>) -> usize {
    let mut at = at;
    while let Some(token) = tokens.get(at) {
        at = match token.text {
            "}" => return at + 1,
            // The new name of `c as d` is no path.
            "as" => at + 2,
            _ if token.kind == Kind::Ident || token.text == "*" => path_at(tokens, at, prefix, imported, all),
            _ => at + 1,
        };
    }
    at
}

/// Whether a name after `before` is the first of its path: `a::b` and `x.b` are not, `::b` and `0..b` are.
fn begins_path(before: &[Token<'_>]) -> bool {
    let mut back = before.iter().rev();
    let (last, other) = (back.next(), back.next());
    match last.map(|token| token.text) {
        Some("::") => other.is_none_or(|token| is_use(token) || token.kind != Kind::Ident && token.text != ">"),
        Some(".") => other.is_some_and(|token| token.text == "."),
        _ => true,
    }
}

fn is_use(token: &Token<'_>) -> bool {
    token.kind == Kind::Ident && token.text == "use"
}

// === impl Lexer ===

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let rest = self.rest();
            let first = rest.chars().next()?;
            if first.is_whitespace() {
                self.skip(first.len_utf8());
            } else if rest.starts_with("//") {
                self.skip(rest.find('\n').unwrap_or(rest.len()));
            } else if rest.starts_with("/*") {
                self.skip(block_comment(rest));
            } else {
                return Some(self.token(first));
            }
        }
    }

    fn token(&mut self, first: char) -> Token<'a> {
        let rest = self.rest();
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (kind, length) = if first == '"' {
            (Kind::Literal, quoted(rest, '"'))
        } else if first == '\'' {
            tick(rest)
        } else if first.is_ascii_digit() {
            (Kind::Literal, word)
        } else if word > 0 {
            prefixed(rest, word).map_or((Kind::Ident, word), |length| (Kind::Literal, length))
        } else if rest.starts_with("::") {
            (Kind::Punct, 2)
        } else {
            (Kind::Punct, first.len_utf8())
        };
        let token = Token { kind, text: &rest[..length], line: self.line };
        self.skip(length);
        token
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self, length: usize) {
        self.line += self.rest()[..length].matches('\n').count();
        self.at += length;
    }
}

/// The length of a literal that begins with a word: `b"x"`, `r#"x"#`, `br"x"`, `c"x"`, `b'x'`.
fn prefixed(rest: &str, word: usize) -> Option<usize> {
    let after = &rest[word..];
    match &rest[..word] {
        "r" | "br" | "cr" => {
            let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
            // `r#name` is a name.
            after[hashes..].strip_prefix('"')?;
            let end = format!("\"{}", "#".repeat(hashes));
            let body = word + hashes + 1;
            Some(rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len()))
        }
        "b" | "c" if after.starts_with('"') => Some(word + quoted(after, '"')),
        "b" if after.starts_with('\'') => Some(word + quoted(after, '\'')),
        _ => None,
    }
}

/// A character (`'a'`, `'\''`) or a lifetime (`'a`).
fn tick(rest: &str) -> (Kind, usize) {
    let mut inside = rest.chars().skip(1);
    let (first, second) = (inside.next(), inside.next());
    if first == Some('\\') || second == Some('\'') {
        return (Kind::Literal, quoted(rest, '\''));
    }
    let name = rest[1..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len() - 1);
    (Kind::Lifetime, 1 + name)
}

/// The length of what `rest` begins with, up to the closing quote; a backslash covers what follows.
fn quoted(rest: &str, quote: char) -> usize {
    let mut covered = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if covered => covered = false,
            '\\' => covered = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of the block comment that `rest` begins with; they nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        tokens(text).into_iter().map(|token| token.text).collect()
    }

    fn named(text: &str) -> Vec<String> {
        paths(&tokens(text)).into_iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn braces_in_literals_and_comments_are_no_braces() {
        let text = r##"a "}\"{" '{' '\'' b'}' r#"{"}"# /* { /* } */ { */ 'life // {
            b"##;
        assert_eq!(texts(text), ["a", r#""}\"{""#, "'{'", "'\\''", "b'}'", "r#\"{\"}\"#", "'life", "b"]);
        assert_eq!(tokens(text).last().map(|token| token.line), Some(2));
    }

    #[test]
    fn a_raw_name_is_no_string() {
        assert_eq!(texts("r#fn br#\"x\"#"), ["r", "#", "fn", "br#\"x\"#"]);
    }

    #[test]
    fn a_function_ends_with_its_own_brace() {
        let text = "fn a(x: [u8; 4]) -> u8 {\n  if x { '}'; }\n}\ntrait T { fn b(); }\nlet f: fn(u8);";
        assert_eq!(functions(&tokens(text)), [Function { name: "a".into(), line: 1, lines: 3 }]);
    }

    #[test]
    fn a_group_is_spread_out() {
        assert_eq!(
            named("use crate::{a, b::{self, C as D}, e::*};"),
            ["use", "crate::a", "crate::b::self", "crate::b::C", "crate::e::*"]
        );
        assert_eq!(named("x.b::<c::D>(0..e, ::f::g); Vec::<u8>::new()"), ["x", "c::D", "e", "f::g", "Vec", "u8"]);
    }

    #[test]
    fn test_items_are_left_out() {
        let text = "fn a() {} #[cfg(test)] mod tests { fn b() {} } fn c() {} #[cfg(test)] mod tests; fn d() {}";
        let names: Vec<_> = functions(&without_tests(&tokens(text))).into_iter().map(|found| found.name).collect();
        assert_eq!(names, ["a", "c", "d"]);
    }
}
