//! Whether two questions may not share an answer, however near their vectors are. Embeddings place "with" beside
//! "without" and "from A to B" upon "from B to A"; this looks at the words.
//!
//! The rule is strict: two texts may share an answer only if the same words stand in the same order, after what is
//! known to carry no meaning has been taken out (see `canon`): case, spaces, the punctuation of clauses, courtesy,
//! spellings, numbers in words, a condition put in front. Everything else is a veto, also of what no rule foresaw; the
//! kinds of words below only name the reason. So a word that is missing in a table costs a hit and never serves a
//! wrong answer. The costs are linear in the text, and nothing depends on anything but the two texts.

mod canon;
mod language;
mod number;
mod shape;
mod split;
mod table;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use canon::{Mode, Piece};
use language::Language;

/// Longer texts are never compared, in bytes: what is long says too much for two of them to mean the same.
pub const LONGEST: usize = 8 * 1024;

/// Why two texts must not share an answer. Where they differ in several ways it is the first of this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Veto {
    /// One is longer than [`LONGEST`].
    TooLong,
    /// They are written in different scripts.
    Script,
    /// They are written in different languages.
    Language,
    /// What stands in quotation marks or backticks.
    Quoted,
    /// An identifier, path, address, flag, version, operator; or source code.
    Code,
    /// A number, in digits or words, an ordinal, a fraction.
    Number,
    /// A currency, a unit of measure or of time.
    Unit,
    /// A day, month, season, or time of day.
    Date,
    /// A word that denies or excludes.
    Negation,
    /// One says the opposite of the other.
    Opposite,
    /// A name, by the table or by its capital letter.
    Name,
    /// Who or whose.
    Person,
    /// What may, can, or must be.
    Modal,
    /// When it is, was, or will be.
    Tense,
    /// What is asked for: who, when, how many, whether.
    Question,
    /// How much of it, or in comparison to what.
    Degree,
    /// How its parts belong together: from, to, if, because.
    Relation,
    /// Any other word.
    Word,
    /// The same words in another order, or in other sentences.
    Order,
}

/// Why an answer to `asked` may not be one to `kept`, if so. Which of the two is which makes no difference, and no
/// text within [`LONGEST`] is vetoed against itself.
pub fn veto(asked: &str, kept: &str) -> Option<Veto> {
    if asked.len() > LONGEST || kept.len() > LONGEST {
        return Some(Veto::TooLong);
    }
    let (asked_tokens, kept_tokens) = (split::tokens(asked), split::tokens(kept));
    let languages = [language::guess(&asked_tokens), language::guess(&kept_tokens)];
    let mode = Mode::of(languages);
    let (asked_pieces, kept_pieces) = (canon::pieces(asked_tokens, mode), canon::pieces(kept_tokens, mode));
    let same = asked_pieces.iter().map(|piece| &piece.text).eq(kept_pieces.iter().map(|piece| &piece.text));
    if same { None } else { Some(reason([asked, kept], languages, &asked_pieces, &kept_pieces)) }
}

/// The first of the ways in which they differ.
fn reason(texts: [&str; 2], languages: [Option<Language>; 2], asked: &[Piece], kept: &[Piece]) -> Veto {
    let [Some(one), Some(other)] = texts.map(language::script) else {
        return differing(asked, kept);
    };
    if one != other {
        return Veto::Script;
    }
    match languages {
        [Some(one), Some(other)] if one != other => Veto::Language,
        _ => differing(asked, kept),
    }
}

/// The first kind among the words that only one of them has, or has more often.
fn differing(asked: &[Piece], kept: &[Piece]) -> Veto {
    let mut more: HashMap<&str, (i32, Veto)> = HashMap::with_capacity(asked.len() + kept.len());
    for (pieces, sign) in [(asked, 1), (kept, -1)] {
        for piece in pieces {
            more.entry(&piece.text).or_insert((0, piece.kind)).0 += sign;
        }
    }
    more.retain(|_, (count, _)| *count != 0);
    let more = &more;
    let opposite = |(word, (count, _)): (&&str, &(i32, Veto))| {
        let others = table::get().opposites(word).iter().copied();
        let prefixed = canon::NEGATING.iter().filter_map(|prefix| word.strip_prefix(prefix));
        others
            .chain(prefixed)
            .any(|other| more.get(other).is_some_and(|(contrary, _)| contrary.signum() != count.signum()))
    };
    let kinds = more.values().map(|(_, kind)| *kind);
    let opposite = more.iter().any(opposite).then_some(Veto::Opposite);
    kinds.chain(opposite).min().unwrap_or(Veto::Order)
}

// === impl Veto ===

impl Veto {
    /// All of them, in their order.
    pub const ALL: [Veto; 19] = [
        Veto::TooLong,
        Veto::Script,
        Veto::Language,
        Veto::Quoted,
        Veto::Code,
        Veto::Number,
        Veto::Unit,
        Veto::Date,
        Veto::Negation,
        Veto::Opposite,
        Veto::Name,
        Veto::Person,
        Veto::Modal,
        Veto::Tense,
        Veto::Question,
        Veto::Degree,
        Veto::Relation,
        Veto::Word,
        Veto::Order,
    ];

    /// The value of a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Veto::TooLong => "too_long",
            Veto::Script => "script",
            Veto::Language => "language",
            Veto::Quoted => "quoted",
            Veto::Code => "code",
            Veto::Number => "number",
            Veto::Unit => "unit",
            Veto::Date => "date",
            Veto::Negation => "negation",
            Veto::Opposite => "opposite",
            Veto::Name => "name",
            Veto::Person => "person",
            Veto::Modal => "modal",
            Veto::Tense => "tense",
            Veto::Question => "question",
            Veto::Degree => "degree",
            Veto::Relation => "relation",
            Veto::Word => "word",
            Veto::Order => "order",
        }
    }
}
