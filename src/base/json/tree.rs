//! A whole document, read in one pass into one flat list of nodes that borrow from it: what a reader of a
//! wire format walks. It keeps where each value stands, so that a value can go on as it was written.
//!
//! The grammar is that of the module above. Besides, no object may say a key twice, wherever it stands:
//! what is written anew from a tree says each once, and another reader might have taken the other one.

use std::borrow::Cow;
use std::fmt;

use super::{Cursor, JsonError, Kind, MAX_DEPTH, Span, text};

/// The most values of one document, keys included. A node takes 16 bytes, and a body of `[0,0,0…` would
/// take eight times its own size.
pub const MAX_NODES: usize = 1 << 20;

/// Members of an object that are compared with each other one by one; more are sorted.
const FEW: usize = 16;

/// A document. [`Tree::root`] is where one begins.
pub struct Tree<'a> {
    body: &'a str,
    /// In the order of the document. The members of an object are its key and its value in turns; what is
    /// in a container stands behind it.
    nodes: Vec<Node>,
}

#[derive(Clone, Copy)]
struct Node {
    kind: Kind,
    /// A string that has an escape in it.
    escaped: bool,
    start: u32,
    end: u32,
    /// The node behind this one and all that is in it.
    next: u32,
}

/// A value of a [`Tree`].
#[derive(Clone, Copy)]
pub struct Value<'t, 'a> {
    tree: &'t Tree<'a>,
    at: u32,
}

/// The members of an object, in order.
pub struct Members<'t, 'a>(Children<'t, 'a>);

/// The elements of an array, in order.
pub struct Elements<'t, 'a>(Children<'t, 'a>);

struct Children<'t, 'a> {
    tree: &'t Tree<'a>,
    at: u32,
    end: u32,
}

/// A container that is open while its document is read.
struct Open {
    node: usize,
    is_object: bool,
}

// === impl Tree ===

impl<'a> Tree<'a> {
    /// Reads a whole document.
    ///
    /// # Errors
    /// Everything that is not one JSON value of at most [`MAX_NODES`] values and [`MAX_DEPTH`] levels; a key
    /// that stands twice in one object.
    pub fn read(body: &'a [u8]) -> Result<Self, JsonError> {
        let text = super::utf8(body)?;
        if u32::try_from(body.len()).is_err() {
            return Err(JsonError::TooMany { at: 0 });
        }
        let mut tree = Tree { body: text, nodes: Vec::with_capacity((body.len() / 32).clamp(16, 4096)) };
        let mut cursor = Cursor { body, at: 0 };
        cursor.space();
        tree.fill(&mut cursor)?;
        cursor.space();
        if cursor.at == body.len() { Ok(tree) } else { Err(cursor.syntax()) }
    }

    /// The outermost value.
    pub fn root<'t>(&'t self) -> Value<'t, 'a> {
        Value { tree: self, at: 0 }
    }

    fn fill(&mut self, cursor: &mut Cursor<'a>) -> Result<(), JsonError> {
        let mut open: Vec<Open> = Vec::with_capacity(16);
        loop {
            // Here a value begins; in an object, behind its key.
            if open.last().is_some_and(|last| last.is_object) {
                self.key(cursor)?;
            }
            let kind = cursor.kind()?;
            let node = self.begin(kind, cursor.at)?;
            if let Kind::Object | Kind::Array = kind {
                if open.len() + 1 == MAX_DEPTH + 1 {
                    return Err(JsonError::Depth { at: cursor.at });
                }
                let is_object = kind == Kind::Object;
                cursor.at += 1;
                cursor.space();
                if !cursor.take(if is_object { b'}' } else { b']' })? {
                    open.push(Open { node, is_object });
                    continue;
                }
            } else if kind == Kind::String {
                self.nodes[node].escaped = cursor.string()?;
            } else {
                cursor.scalar(kind)?;
            }
            self.close(node, cursor.at);
            if self.behind(cursor, &mut open)? {
                return Ok(());
            }
        }
    }

    /// Behind a value: closes what closes here. True when that was the document.
    fn behind(&mut self, cursor: &mut Cursor<'a>, open: &mut Vec<Open>) -> Result<bool, JsonError> {
        loop {
            let Some(last) = open.last() else { return Ok(true) };
            cursor.space();
            match cursor.peek()? {
                b',' => {
                    cursor.at += 1;
                    cursor.space();
                    return Ok(false);
                }
                b'}' if last.is_object => {}
                b']' if !last.is_object => {}
                _ => return Err(cursor.syntax()),
            }
            cursor.at += 1;
            let (node, is_object) = (last.node, last.is_object);
            self.close(node, cursor.at);
            if is_object {
                self.refuse_twins(node)?;
            }
            open.pop();
        }
    }

    fn key(&mut self, cursor: &mut Cursor<'a>) -> Result<(), JsonError> {
        if cursor.peek()? != b'"' {
            return Err(cursor.syntax());
        }
        let node = self.begin(Kind::String, cursor.at)?;
        self.nodes[node].escaped = cursor.string()?;
        self.close(node, cursor.at);
        cursor.colon()
    }

    fn begin(&mut self, kind: Kind, at: usize) -> Result<usize, JsonError> {
        if self.nodes.len() >= MAX_NODES {
            return Err(JsonError::TooMany { at });
        }
        self.nodes.push(Node { kind, escaped: false, start: narrow(at), end: 0, next: 0 });
        Ok(self.nodes.len() - 1)
    }

    fn close(&mut self, node: usize, end: usize) {
        let next = narrow(self.nodes.len());
        let node = &mut self.nodes[node];
        (node.end, node.next) = (narrow(end), next);
    }

    fn refuse_twins(&self, object: usize) -> Result<(), JsonError> {
        let object = Value { tree: self, at: narrow(object) };
        let mut members = object.children(Kind::Object);
        let mut few = [""; FEW];
        let mut count = 0;
        while let (Some(key), Some(_)) = (members.step(), members.step()) {
            if count == FEW || key.node().escaped {
                return refuse_twins_of_many(object);
            }
            if few[..count].contains(&key.inner()) {
                return Err(JsonError::DuplicateKey { key: key.inner().to_owned() });
            }
            few[count] = key.inner();
            count += 1;
        }
        Ok(())
    }
}

/// Where the keys are many, or do not read as they are written.
#[cold]
fn refuse_twins_of_many(object: Value<'_, '_>) -> Result<(), JsonError> {
    let mut keys: Vec<_> = object.members().map(|(key, _)| key).collect();
    keys.sort_unstable();
    match keys.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(twins) => Err(JsonError::DuplicateKey { key: twins[0].to_string() }),
        None => Ok(()),
    }
}

/// A place in a body of less than 4 GiB, or of a list that is bounded by one.
fn narrow(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

// === impl Value ===

impl<'t, 'a> Value<'t, 'a> {
    fn node(self) -> Node {
        const NOTHING: Node = Node { kind: Kind::Null, escaped: false, start: 0, end: 0, next: 0 };
        self.tree.nodes.get(self.at as usize).copied().unwrap_or(NOTHING)
    }

    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// Where it stands in the body.
    pub fn span(self) -> Span {
        let node = self.node();
        Span { start: node.start as usize, end: node.end as usize }
    }

    /// As it was written; of a string with its quotes.
    pub fn raw(self) -> &'a str {
        let span = self.span();
        self.tree.body.get(span.start..span.end).unwrap_or_default()
    }

    /// What stands between a string's quotes, escapes and all.
    fn inner(self) -> &'a str {
        let raw = self.raw();
        raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default()
    }

    /// A string's text, borrowed where it has no escapes; a lone surrogate reads as U+FFFD.
    pub fn text(self) -> Option<Cow<'a, str>> {
        let Node { kind, escaped, .. } = self.node();
        let inner = if kind == Kind::String { self.inner() } else { return None };
        Some(if escaped { Cow::Owned(text::unescape(inner)) } else { Cow::Borrowed(inner) })
    }

    /// True for a string that reads as `text`.
    fn says(self, text: &str) -> bool {
        if self.node().escaped { self.text().is_some_and(|said| said == text) } else { self.inner() == text }
    }

    /// A number as it was written.
    pub fn number(self) -> Option<&'a str> {
        (self.kind() == Kind::Number).then(|| self.raw())
    }

    /// A whole number that is not negative, also one with a fraction of zero.
    pub fn whole(self) -> Option<u64> {
        let text = self.number()?;
        let text = text
            .split_once('.')
            .map_or(text, |(whole, fraction)| if fraction.bytes().all(|digit| digit == b'0') { whole } else { text });
        text.parse().ok()
    }

    pub fn flag(self) -> Option<bool> {
        match self.kind() {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// `null`, `""`, `[]` and `{}`: it says no more than nothing does.
    pub fn is_empty(self) -> bool {
        match self.kind() {
            Kind::Null => true,
            Kind::String => self.raw().len() == 2,
            Kind::Array | Kind::Object => self.node().next == self.at + 1,
            Kind::Number | Kind::True | Kind::False => false,
        }
    }

    /// The members of an object; of anything else none.
    pub fn members(self) -> Members<'t, 'a> {
        Members(self.children(Kind::Object))
    }

    /// The elements of an array; of anything else none.
    pub fn elements(self) -> Elements<'t, 'a> {
        Elements(self.children(Kind::Array))
    }

    /// The member of this name, unless it is `null`.
    pub fn get(self, name: &str) -> Option<Value<'t, 'a>> {
        let mut children = self.children(Kind::Object);
        while let (Some(key), Some(value)) = (children.step(), children.step()) {
            if key.says(name) {
                return (!value.is_null()).then_some(value);
            }
        }
        None
    }

    fn children(self, of: Kind) -> Children<'t, 'a> {
        let node = self.node();
        let end = if node.kind == of { node.next } else { self.at + 1 };
        Children { tree: self.tree, at: self.at + 1, end }
    }
}

/// The kind alone: what a body holds is a prompt as often as not.
impl fmt::Debug for Value<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind().fmt(f)
    }
}

// === impl Children ===

impl<'t, 'a> Children<'t, 'a> {
    fn step(&mut self) -> Option<Value<'t, 'a>> {
        if self.at >= self.end {
            return None;
        }
        let value = Value { tree: self.tree, at: self.at };
        self.at = value.node().next.max(self.at + 1);
        Some(value)
    }
}

impl<'t, 'a> Iterator for Members<'t, 'a> {
    type Item = (Cow<'a, str>, Value<'t, 'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.0.step()?.text()?;
        Some((key, self.0.step()?))
    }
}

impl<'t, 'a> Iterator for Elements<'t, 'a> {
    type Item = Value<'t, 'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.step()
    }
}

#[cfg(test)]
mod tests;
