//! What carries no meaning in an English question, and how it is taken out.

use super::super::number;
use super::super::table::{self, Phrase};
use super::{BREAK, COMMA, Piece, Veto};

/// What makes the opposite of a word.
pub(in super::super) const NEGATING: &[&str] = &["un", "in", "il", "im", "ir", "dis", "de", "a", "non-"];

/// After these, `'s` is short for "is"; after any other word it may be, or says whose.
const BEFORE_IS: &[&str] =
    &["what", "who", "where", "how", "when", "why", "which", "it", "that", "this", "there", "here", "he", "she"];
const ASKING: &[&str] = &["how", "what", "when", "where", "why", "who", "which"];
/// What a condition begins with that may stand before a question as well as behind it.
const IN_FRONT: &[&str] = &["in", "on", "for", "using", "if", "at", "as"];
/// The longest condition that is moved, in pieces.
const FRONT: usize = 12;
/// Before "France's capital", where nothing belongs to France but the capital.
const BEFORE_OWNER: &[&str] = &["the", "is", "are", "was", "about", "in", "for"];
/// How often a courtesy is taken off each end.
const COURTESIES: usize = 3;
/// A text that is shorter without its courtesy, in pieces, may be about it: "Hello, world".
const SHORT: usize = 3;

/// Adds a word in small letters: one, or what it is short for.
pub(super) fn word(lower: &str, kind: Veto, pieces: &mut Vec<Piece>) {
    let parts: Vec<&str> = match lower {
        "can't" | "cannot" => vec!["can", "not"],
        "won't" => vec!["will", "not"],
        "shan't" => vec!["shall", "not"],
        "let's" => vec!["let", "us"],
        "i'm" => vec!["i", "am"],
        "whom" => vec!["who"],
        word => shortened(word),
    };
    for part in parts {
        let text = table::get().same(part).unwrap_or(part);
        let kind = if number::is_other(text) { Veto::Number } else { table::get().kind(text).unwrap_or(kind) };
        pieces.push(Piece { text: text.to_owned(), kind });
    }
}

/// The words that one with an apostrophe, or a number with a hyphen, consists of.
fn shortened(word: &str) -> Vec<&str> {
    if let Some(word) = word.strip_suffix("n't") {
        return vec![word, "not"];
    }
    if let Some((tens, ones)) = word.split_once('-')
        && number::read([tens, ones].into_iter()).is_some_and(|(_, words)| words == 2)
    {
        return vec![tens, ones];
    }
    let short = [("'re", "are"), ("'ll", "will"), ("'ve", "have")];
    if let Some((word, long)) = short.iter().find_map(|(short, long)| Some((word.strip_suffix(short)?, *long))) {
        return vec![word, long];
    }
    match (word.strip_suffix("'s"), word.strip_suffix('\'')) {
        (Some(word), _) if BEFORE_IS.contains(&word) => vec![word, "is"],
        (Some(word), _) | (_, Some(word)) if !word.is_empty() => vec![word, "'s"],
        _ => vec![word],
    }
}

/// The pieces that say something, in the order in which a question is most often put.
pub(super) fn pieces(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut pieces = rephrased(without_courtesy(&pieces));
    owned(&mut pieces);
    condition_behind(&mut pieces);
    asked_directly(&mut pieces);
    numbered(&pieces)
}

/// Without greetings and thanks around what is asked.
fn without_courtesy(mut pieces: &[Piece]) -> &[Piece] {
    let courtesies = table::get().courtesies();
    for _ in 0..COURTESIES {
        while let [rest @ .., last] = pieces
            && last.stops()
        {
            pieces = rest;
        }
        let before = courtesies.iter().find_map(|words| {
            let rest = pieces.get(words.len()..).filter(|_| is_next(words, pieces))?;
            // "Please" needs no comma before an order.
            let apart = rest.first().is_some_and(Piece::stops);
            let rest = if apart { rest.get(1..)? } else { rest };
            (apart || **words == ["please"]).then_some(rest)
        });
        let behind = courtesies.iter().find_map(|words| {
            let at = pieces.len().checked_sub(words.len())?;
            let (rest, last) = pieces.split_at_checked(at)?;
            let apart = rest.last().is_some_and(Piece::stops);
            let ordered = rest.iter().take(SHORT).any(|piece| table::get().is_request(&piece.text));
            (is_next(words, last) && (apart || (ordered && **words == ["please"]))).then_some(rest)
        });
        match before.or(behind) {
            Some(rest) if rest.len() >= SHORT => pieces = rest,
            _ => break,
        }
    }
    pieces
}

/// With every phrase of the table replaced by what it is another word for.
fn rephrased(pieces: &[Piece]) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::with_capacity(pieces.len());
    let mut rest = pieces;
    while !rest.is_empty() {
        let starts = out.last().is_none_or(|last| last.text == BREAK);
        if let Some(length) = starts.then(|| opening(rest)).flatten() {
            rest = rest.get(length..).unwrap_or_default();
            if rest.first().is_some_and(|next| next.text == "the") {
                out.extend(["what", "is"].map(Piece::known));
            }
        }
        let Some((first, after)) = rest.split_first() else { break };
        if let Some(phrase) = phrase(&first.text, rest) {
            out.extend(phrase.instead.iter().copied().map(Piece::known));
            rest = rest.get(phrase.words.len()..).unwrap_or_default();
        } else {
            out.push(first.clone());
            rest = after;
        }
    }
    out
}

fn phrase(first: &str, rest: &[Piece]) -> Option<&'static Phrase> {
    table::get().phrases(first).iter().find(|phrase| is_next(&phrase.words, rest))
}

fn is_next(words: &[&str], rest: &[Piece]) -> bool {
    rest.len() >= words.len() && words.iter().zip(rest).all(|(word, piece)| piece.text == *word)
}

/// How many pieces at the start of a sentence only ask to be answered. Something always follows them.
fn opening(rest: &[Piece]) -> Option<usize> {
    let is = |at: usize, words: &[&str]| rest.get(at).is_some_and(|piece| words.contains(&piece.text.as_str()));
    let opener = table::get().openers().iter().find(|words| is_next(words, rest)).map(Vec::len);
    if let Some(length) = opener.filter(|length| is(*length, ASKING)) {
        return Some(length);
    }
    // "Explain the rules" asks for more than what they are.
    if let Some(length) = opener.filter(|length| is(*length, &["the"]) && !is(length - 1, &["explain"])) {
        return Some(length);
    }
    let orders = is(0, &["can", "could", "would", "will"]) && is(1, &["you"]);
    let length = if is(2, &["please"]) { 3 } else { 2 };
    (orders && rest.get(length).is_some_and(|piece| table::get().is_request(&piece.text))).then_some(length)
}

/// "The capital of France" for "France's capital", where one word owns and one is owned.
fn owned(pieces: &mut Vec<Piece>) {
    let mut at = 1;
    while at + 1 < pieces.len() {
        let plain = |at: usize| pieces.get(at).is_some_and(|piece| matches!(piece.kind, Veto::Word | Veto::Name));
        let ends = |piece: &Piece| piece.stops() || (piece.kind == Veto::Relation && piece.text != "'s");
        let before = at.checked_sub(2).and_then(|before| pieces.get(before));
        let alone = before.is_none_or(|before| before.stops() || BEFORE_OWNER.contains(&before.text.as_str()));
        let single = plain(at - 1) && plain(at + 1) && pieces.get(at + 2).is_none_or(ends);
        if alone && single && pieces.get(at).is_some_and(|piece| piece.text == "'s") {
            let definite = before.is_some_and(|before| before.text == "the");
            pieces.swap(at - 1, at + 1);
            pieces.splice(at..=at, ["of", "the"].map(Piece::known).into_iter().take(1 + usize::from(definite)));
            if !definite {
                pieces.insert(at - 1, Piece::known("the"));
            }
            at += 1;
        }
        at += 1;
    }
}

/// Puts the condition that a sentence begins with to its end.
fn condition_behind(pieces: &mut [Piece]) {
    for sentence in pieces.split_mut(|piece| piece.text == BREAK) {
        if !sentence.first().is_some_and(|first| IN_FRONT.contains(&first.text.as_str())) {
            continue;
        }
        let comma = sentence.iter().take(FRONT).position(|piece| piece.text == COMMA);
        let asks = sentence.get(2).is_some_and(|piece| ASKING.contains(&piece.text.as_str()));
        let front = comma.map(|comma| comma + 1).or(asks.then_some(2));
        if let Some(front) = front.filter(|front| *front >= 2 && front + 2 <= sentence.len()) {
            sentence.rotate_left(front);
        }
    }
}

/// "What is the policy" for "what the policy is", and "how it works" for "how does it work", as "works" is "work".
fn asked_directly(pieces: &mut Vec<Piece>) {
    for sentence in pieces.split_mut(|piece| piece.text == BREAK) {
        let is =
            |piece: Option<&Piece>, words: &[&str]| piece.is_some_and(|piece| words.contains(&piece.text.as_str()));
        if sentence.len() > 2 && is(sentence.first(), &["what", "where", "who"]) && is(sentence.last(), &["is", "are"])
        {
            sentence.get_mut(1..).unwrap_or_default().rotate_right(1);
        }
    }
    let mut asked = false;
    pieces.retain(|piece| {
        let does = asked && matches!(piece.text.as_str(), "do" | "does");
        asked = ASKING.contains(&piece.text.as_str());
        !does
    });
}

/// With numbers in digits, and units behind them in one form.
fn numbered(pieces: &[Piece]) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::with_capacity(pieces.len());
    let mut rest = pieces;
    while let [first, after @ ..] = rest {
        let counts = out.last().is_some_and(|last| last.kind == Veto::Number);
        if let Some((text, words)) = number::read(rest.iter().map(|piece| piece.text.as_str())) {
            out.push(Piece { text, kind: Veto::Number });
            rest = rest.get(words..).unwrap_or_default();
        } else {
            let unit = table::get().counted(&first.text).filter(|_| counts);
            out.push(unit.map_or_else(|| first.clone(), |unit| Piece { text: unit.to_owned(), kind: Veto::Unit }));
            rest = after;
        }
    }
    out
}

// === impl Piece ===

impl Piece {
    /// A word of the table.
    fn known(word: &str) -> Piece {
        Piece { text: word.to_owned(), kind: table::get().kind(word).unwrap_or(Veto::Word) }
    }
}
