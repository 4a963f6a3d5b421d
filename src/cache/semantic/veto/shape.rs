//! What a piece of text without white space is, by its shape: `10km`, `2+2`, `src/main.rs`, `don't`.

use super::Veto;
use super::split::{Kind, Tokens};
use super::table;

/// Signs that end a sentence or clause.
const ENDS: &[char] = &['.', '?', '!', ';', ':'];
const CURRENCIES: &[(char, &str)] = &[('$', "dollar"), ('€', "euro"), ('£', "pound"), ('¥', "yen"), ('₹', "rupee")];

/// How many brackets are taken off a word.
const BRACKETS: usize = 4;

/// Adds the tokens of one chunk.
pub(super) fn split(chunk: &str, tokens: &mut Tokens) {
    if !chunk.contains(char::is_alphanumeric) {
        return signs(chunk, tokens);
    }
    let (core, tail) = trimmed(chunk);
    // A list without spaces; in brackets the commas are part of something.
    if core.contains(',') && number(core).is_none() && !core.contains(['(', '[', '{']) {
        for (at, part) in core.split(',').enumerate() {
            if at > 0 {
                tokens.stop(Kind::Comma);
            }
            if !part.is_empty() {
                one(part, tokens);
            }
        }
    } else {
        one(core, tokens);
    }
    // A factorial.
    if tail.starts_with('!') && core.ends_with(|last: char| last.is_ascii_digit()) {
        tokens.push(Kind::Sign, "!".to_owned());
    }
    if tail.contains(ENDS) {
        tokens.stop(Kind::Break);
    } else if tail.contains(',') {
        tokens.stop(Kind::Comma);
    }
}

/// A chunk without a letter or digit.
fn signs(chunk: &str, tokens: &mut Tokens) {
    let punctuation = |sign: char| ENDS.contains(&sign) || matches!(sign, ',' | '(' | ')' | '¿' | '¡');
    let after_number = tokens.last().is_some_and(|last| last.kind == Kind::Number);
    if chunk.chars().all(punctuation) {
        if chunk.contains(ENDS) {
            tokens.stop(Kind::Break);
        } else if chunk.contains(',') {
            tokens.stop(Kind::Comma);
        }
    } else if matches!(chunk, "-" | "--") && !after_number {
        tokens.stop(Kind::Break);
    } else {
        tokens.push(Kind::Sign, chunk.to_owned());
    }
}

/// Without the punctuation around it, and what stood behind.
fn trimmed(chunk: &str) -> (&str, &str) {
    let whole = chunk.trim_start_matches(['¿', '¡']);
    let (mut core, mut front) = (whole, 0);
    // More brackets than that are no punctuation.
    for _ in 0..BRACKETS {
        core = core.trim_end_matches(ENDS).trim_end_matches(',');
        let (opens, closes) = (core.matches('(').count(), core.matches(')').count());
        let around = opens == 1 && closes == 1 && core.starts_with('(') && core.ends_with(')');
        if around || opens < closes {
            core = core.strip_suffix(')').unwrap_or(core);
        }
        if let Some(inner) = core.strip_prefix('(').filter(|_| around || opens > closes) {
            (core, front) = (inner, front + 1);
        }
    }
    (core, whole.get(front + core.len()..).unwrap_or_default())
}

/// Adds what has no punctuation around it.
fn one(core: &str, tokens: &mut Tokens) {
    if let Some((digits, unit)) = amount(core) {
        tokens.push(Kind::Number, digits);
        if let Some((kind, unit)) = unit {
            tokens.push(kind, unit);
        }
        return;
    }
    let first_digit = core.starts_with(|first: char| first.is_ascii_digit());
    let kind = match () {
        () if first_digit && core.contains(':') => Kind::Time,
        () if first_digit && core.chars().all(|c| c.is_ascii_alphanumeric() || "-/.,".contains(c)) => Kind::Number,
        () if is_word(core) => Kind::Word,
        // "C++" is a name, however it is written.
        () if table::get().kind(&core.to_lowercase()) == Some(Veto::Name) => Kind::Word,
        () => Kind::Code,
    };
    let after_number = tokens.last().is_some_and(|last| last.kind == Kind::Number);
    if kind == Kind::Word && after_number && is_unit(core) {
        let (kind, unit) = unit(core);
        return tokens.push(kind, unit);
    }
    tokens.push(kind, core.to_owned());
}

/// A number with what is written onto it: `1,000` `$5` `5%` `10km` `3rd`.
fn amount(core: &str) -> Option<(String, Option<(Kind, String)>)> {
    if let Some(digits) = number(core) {
        return Some((digits, None));
    }
    if let Some(digits) = core.strip_suffix('%').and_then(number) {
        return Some((digits, Some((Kind::Unit, "percent".to_owned()))));
    }
    if let Some((sign, name)) = CURRENCIES.iter().find(|(sign, _)| core.starts_with(*sign)) {
        return Some((number(core.strip_prefix(*sign)?)?, Some((Kind::Unit, (*name).to_owned()))));
    }
    let letters = core.find(|c: char| c.is_alphabetic())?;
    let (digits, suffix) = core.split_at_checked(letters)?;
    if digits.bytes().all(|digit| digit.is_ascii_digit()) && matches!(suffix, "st" | "nd" | "rd" | "th") {
        return (!digits.is_empty()).then(|| (format!("#{digits}"), None));
    }
    let digits = number(digits)?;
    table::get().is_suffix(suffix).then(|| (digits, Some(unit(suffix))))
}

/// The digits of a number, without what separates thousands; what else is written in it stays, for 3.1 is not 3.10.
fn number(text: &str) -> Option<String> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let of_number = |byte: u8| byte.is_ascii_digit() || matches!(byte, b',' | b'.');
    if !unsigned.starts_with(|first: char| first.is_ascii_digit()) || !unsigned.bytes().all(of_number) {
        return None;
    }
    let whole = unsigned.split('.').next().unwrap_or_default();
    let mut groups = whole.split(',');
    let first = groups.next().is_some_and(|first| (1..=3).contains(&first.len()));
    let grouped = first && groups.all(|group| group.len() == 3);
    let separated = grouped && unsigned.matches(',').count() == whole.matches(',').count();
    Some(if separated { text.replace(',', "") } else { text.to_owned() })
}

/// Whether a word behind a number is a unit whose letters' case matters: Mb is not MB.
fn is_unit(word: &str) -> bool {
    table::get().is_suffix(word) || (word.len() <= 3 && word.contains(char::is_uppercase))
}

fn unit(word: &str) -> (Kind, String) {
    match word {
        "am" | "AM" => (Kind::Time, "am".to_owned()),
        "pm" | "PM" => (Kind::Time, "pm".to_owned()),
        word => (Kind::Unit, table::get().counted(word).unwrap_or(word).to_owned()),
    }
}

/// Letters, with hyphens and apostrophes within, that are no identifier.
fn is_word(core: &str) -> bool {
    let of_word = |c: char| c.is_alphabetic() || c == '\'' || c == '-' || !(c.is_ascii() || c.is_numeric());
    if !core.starts_with(char::is_alphabetic) || !core.chars().all(of_word) {
        return false;
    }
    let pairs = core.chars().zip(core.chars().skip(1));
    let camel = pairs.into_iter().any(|(one, next)| one.is_lowercase() && next.is_uppercase());
    !camel || table::get().kind(&core.to_lowercase()) == Some(Veto::Name)
}
