//! What a question says, without how it is said: the same pieces for "What's France's capital?" and "Please tell me
//! what the capital of France is". Only what is listed here and in `words.txt` is taken out, joined or moved;
//! everything else stays, in its order.

mod english;

use super::Veto;
use super::language::Language;
use super::split::{Kind, Token};
use super::table;

pub(super) use english::NEGATING;

/// Something that must be the same in both texts, at the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub text: String,
    /// The reason for a veto if it differs.
    pub kind: Veto,
}

/// How much is known of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    English,
    /// No word tells: nothing is taken out, and only the case is ignored.
    Unknown,
    /// Nothing is taken out, and capital letters mean something: `Sie` is not `sie`.
    Other,
}

/// What separates clauses, and commas until they have been looked at. No word is written so.
const BREAK: &str = "|";
const COMMA: &str = ",";

/// The pieces of a text, in their order. Both texts are read in one mode.
pub(super) fn pieces(tokens: Vec<Token>, mode: Mode) -> Vec<Piece> {
    let small = |token: &Token| token.text.contains(char::is_lowercase);
    let shouted = !tokens.iter().any(|token| token.kind == Kind::Word && small(token));
    let mut pieces = Vec::with_capacity(tokens.len() + 4);
    for token in tokens {
        match token.kind {
            Kind::Word => word(&token, mode, shouted, &mut pieces),
            kind => pieces.push(Piece::of(kind, token.text)),
        }
    }
    if mode == Mode::English {
        pieces = english::pieces(pieces);
    }
    pieces.retain(|piece| piece.text != COMMA);
    let end = pieces.iter().rposition(|piece| piece.text != BREAK).map_or(0, |last| last + 1);
    pieces.truncate(end);
    pieces.drain(..pieces.iter().take_while(|piece| piece.text == BREAK).count());
    pieces
}

/// Adds a word, as far as its capital letters mean something.
fn word(token: &Token, mode: Mode, shouted: bool, pieces: &mut Vec<Piece>) {
    let lower = token.text.to_lowercase();
    let capital = token.text.starts_with(char::is_uppercase) && !shouted;
    let capitals = capital && token.text.chars().nth(1).is_some() && !token.text.contains(char::is_lowercase);
    let known = table::get().kind(&lower);
    if mode == Mode::Other && !token.starts {
        let kind = if capital { Veto::Name } else { Veto::Word };
        return pieces.push(Piece { text: token.text.clone(), kind });
    }
    // "I" and the words that a sentence may begin with are no names; "US" is none of them.
    let common = known.is_some_and(|kind| !matches!(kind, Veto::Name | Veto::Date));
    let name = capital && table::get().changes_with_capital(&lower) && (capitals || !common);
    let letter = capital && !token.starts && token.text == "A";
    if name || letter {
        return pieces.push(Piece { text: format!("{lower}*"), kind: Veto::Name });
    }
    let kind = known.unwrap_or(if capital && !token.starts { Veto::Name } else { Veto::Word });
    match mode {
        Mode::English => english::word(&lower, kind, pieces),
        Mode::Unknown | Mode::Other => pieces.push(Piece { text: lower, kind }),
    }
}

// === impl Mode ===

impl Mode {
    /// How two texts are read of which this was guessed.
    pub fn of(guessed: [Option<Language>; 2]) -> Mode {
        let mut known = guessed.into_iter().flatten();
        match (known.clone().next(), known.all(|language| language == Language::English)) {
            (None, _) => Mode::Unknown,
            (Some(_), true) => Mode::English,
            (Some(_), false) => Mode::Other,
        }
    }
}

// === impl Piece ===

impl Piece {
    /// Of what is no word. A sign in front keeps what was quoted from being taken for anything else.
    fn of(kind: Kind, text: String) -> Piece {
        let (text, kind) = match kind {
            Kind::Quoted => (format!("\"{text}"), Veto::Quoted),
            Kind::Number => (text, Veto::Number),
            Kind::Unit => (text, Veto::Unit),
            Kind::Time => (text, Veto::Date),
            Kind::Code | Kind::Sign => (format!("`{text}"), Veto::Code),
            Kind::Comma => (COMMA.to_owned(), Veto::Order),
            Kind::Break => (BREAK.to_owned(), Veto::Order),
            Kind::Word => (text, Veto::Word),
        };
        Piece { text, kind }
    }

    /// Whether it stands between clauses.
    fn stops(&self) -> bool {
        self.kind == Veto::Order
    }
}
