//! What a document may look like, as data: the rows against which the reader checks the names of
//! fields and from which `schema` makes the JSON Schema and the CRDs. A row says what a field is for;
//! what a value means is the reader's.

use super::read::Words;
use super::text::Form;

/// The fields of one kind of object.
pub(super) struct Fields {
    pub rows: &'static [Field],
    /// What several of them say together.
    pub rules: &'static [Rule],
}

/// One field.
pub(super) struct Field {
    pub name: &'static str,
    pub shape: Shape,
    /// What it is for: a sentence or two for whoever writes it.
    pub doc: &'static str,
    pub required: bool,
    /// What it is when it is absent: a text that is written as it stands, or a whole number.
    pub default: Option<Default>,
    /// Refused in a Kubernetes resource.
    pub file_only: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Default {
    Text(&'static str),
    Whole(u64),
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Text(&'static Form),
    /// A whole number, or text with a suffix of Kubernetes quantities.
    Whole {
        least: u64,
        most: u64,
    },
    /// The amount of a limit: a whole number from 1, or money as a decimal.
    Amount,
    Word(&'static dyn Vocabulary),
    /// A word, or an object in its place.
    WordOr(&'static dyn Vocabulary, &'static Fields),
    List {
        item: &'static Shape,
        least: u64,
        most: Most,
        keyed: Keyed,
    },
    /// Keys of the user's choice.
    Map {
        key: &'static Form,
        value: &'static Shape,
        most: Most,
    },
    Object(&'static Fields),
    /// Any value but none.
    Json,
}

/// The most items of a list or a map.
#[derive(Clone, Copy)]
pub(super) enum Most {
    /// The reader refuses more.
    Anywhere(u64),
    /// The API server stores no more: it must know how much a rule may cost. Files have no such bound.
    Stored(u64),
}

/// What tells the items of a list apart.
#[derive(Clone, Copy)]
pub(super) enum Keyed {
    No,
    /// Itself.
    Set,
    /// This field, a required text.
    By(&'static str),
}

/// What several fields say together. The reader enforces all of it, with texts of its own.
pub(super) enum Rule {
    /// At least one field.
    Says,
    /// Exactly one of these.
    OneOf(&'static [&'static str]),
    /// All of at least one of these groups.
    AnyOf(&'static [&'static [&'static str]]),
    /// At most one of the two.
    NotBoth(&'static str, &'static str),
    /// The first only beside the second.
    Beside(&'static str, &'static str),
    /// Each field only where `key` is one of its words.
    Only { key: &'static str, fields: &'static [Only] },
    /// `field` where `key` is one of these words.
    Needed { field: &'static str, key: &'static str, words: &'static [&'static str] },
    /// `field` goes with the word of `key`.
    Pairs { key: &'static str, field: &'static str, table: &'static Words<&'static str> },
    /// The amount `field` is money where `key` is this word, and a number elsewhere.
    Money { field: &'static str, key: &'static str, word: &'static str },
    /// Anything else, in both languages; empty where one of them cannot say it.
    Other { says: &'static str, cel: &'static str, json: &'static str },
}

/// A field that means something beside some words only.
pub(super) struct Only {
    pub field: &'static str,
    pub words: &'static [&'static str],
    pub why: &'static str,
}

/// The words of an enumeration, whatever they mean.
pub(super) trait Vocabulary {
    fn words(&self) -> Vec<&'static str>;
}

/// A field that may be absent.
pub(super) const fn may(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { name, shape, doc, required: false, default: None, file_only: false }
}

/// A field that must be there.
pub(super) const fn need(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { required: true, ..may(name, shape, doc) }
}

/// Items that do not repeat, at least one.
pub(super) const fn set(item: &'static Shape, most: u64) -> Shape {
    Shape::List { item, least: 1, most: Most::Stored(most), keyed: Keyed::Set }
}

/// At least one item.
pub(super) const fn list(item: &'static Shape, most: u64) -> Shape {
    Shape::List { item, least: 1, most: Most::Stored(most), keyed: Keyed::No }
}

/// At least one item, each with a key of its own.
pub(super) const fn keyed(item: &'static Shape, key: &'static str, most: u64) -> Shape {
    Shape::List { item, least: 1, most: Most::Stored(most), keyed: Keyed::By(key) }
}

/// Any number of bytes above 0.
pub(super) const SIZE: Shape = Shape::Whole { least: 1, most: u64::MAX };

// === impl Fields ===

impl Fields {
    /// Fields that each stand for themselves.
    pub const fn of(rows: &'static [Field]) -> Fields {
        Fields { rows, rules: &[] }
    }

    /// The names that are read, in the order of the rows.
    pub fn known(&self) -> impl Iterator<Item = &'static str> {
        self.rows.iter().map(|row| row.name)
    }

    pub fn row(&self, name: &str) -> Option<&'static Field> {
        self.rows.iter().find(|row| row.name == name)
    }
}

// === impl Field ===

impl Field {
    pub const fn or(self, word: &'static str) -> Field {
        Field { default: Some(Default::Text(word)), ..self }
    }

    pub const fn or_whole(self, number: u64) -> Field {
        Field { default: Some(Default::Whole(number)), ..self }
    }

    pub const fn file_only(self) -> Field {
        Field { file_only: true, ..self }
    }
}

// === impl Vocabulary ===

impl<T> Vocabulary for &'static Words<T> {
    fn words(&self) -> Vec<&'static str> {
        self.iter().map(|(word, _)| *word).collect()
    }
}
