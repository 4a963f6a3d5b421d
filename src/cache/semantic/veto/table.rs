//! The words of `words.txt`, looked up. The file is part of the program; a test holds every row of it to its form, and
//! what could not be read would be left out.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::Veto;

/// What is known of words.
pub(super) struct Table {
    kinds: HashMap<&'static str, Veto>,
    same: HashMap<&'static str, &'static str>,
    suffixes: HashSet<&'static str>,
    capitals: HashSet<&'static str>,
    requests: HashSet<&'static str>,
    opposites: HashMap<&'static str, Vec<&'static str>>,
    counted: HashMap<&'static str, &'static str>,
    phrases: HashMap<&'static str, Vec<Phrase>>,
    openers: Vec<Vec<&'static str>>,
    courtesies: Vec<Vec<&'static str>>,
}

/// Words that may be said in another way.
pub(super) struct Phrase {
    pub words: Vec<&'static str>,
    pub instead: Vec<&'static str>,
}

/// A row of the file.
enum Row {
    Kind(Veto, &'static str),
    Suffix(&'static str),
    Capital(&'static str),
    Request(&'static str),
    Opposite(&'static str),
    Phrase(&'static str),
    Opener(&'static str),
    Courtesy(&'static str),
    Same(&'static str, &'static str),
    Counted(&'static str, &'static str),
}

const WORDS: &str = include_str!("words.txt");

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(WORDS));

/// The table, read when it is first needed.
pub(super) fn get() -> &'static Table {
    &TABLE
}

/// The rows that say something.
fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("# "))
}

fn row(line: &'static str) -> Option<Row> {
    if let Some((from, to)) = line.split_once(" = ") {
        return Some(Row::Same(from, to));
    }
    if let Some((from, to)) = line.split_once(" ~ ") {
        return Some(Row::Counted(from, to));
    }
    let (head, words) = line.split_once(": ")?;
    Some(match head {
        "suffix" => Row::Suffix(words),
        "capital" => Row::Capital(words),
        "request" => Row::Request(words),
        "opposite" => Row::Opposite(words),
        "phrase" => Row::Phrase(words),
        "opener" => Row::Opener(words),
        "courtesy" => Row::Courtesy(words),
        _ => Row::Kind(Veto::ALL.into_iter().find(|veto| veto.as_str() == head)?, words),
    })
}

// === impl Table ===

impl Table {
    fn read(text: &'static str) -> Table {
        let mut table = Table {
            kinds: HashMap::new(),
            same: HashMap::new(),
            suffixes: HashSet::new(),
            capitals: HashSet::new(),
            requests: HashSet::new(),
            opposites: HashMap::new(),
            counted: HashMap::new(),
            phrases: HashMap::new(),
            openers: Vec::new(),
            courtesies: Vec::new(),
        };
        lines(text).filter_map(row).for_each(|row| table.add(row));
        // The longest that fits is taken.
        table.phrases.values_mut().for_each(|phrases| phrases.sort_by_key(|phrase| Reverse(phrase.words.len())));
        for list in [&mut table.openers, &mut table.courtesies] {
            list.sort_by_key(|words| Reverse(words.len()));
        }
        table
    }

    fn add(&mut self, row: Row) {
        match row {
            Row::Kind(kind, words) => self.kinds.extend(words.split(' ').map(|word| (word, kind))),
            Row::Suffix(words) => self.suffixes.extend(words.split(' ')),
            Row::Capital(words) => self.capitals.extend(words.split(' ')),
            Row::Request(words) => self.requests.extend(words.split(' ')),
            Row::Opposite(pairs) => {
                for (one, other) in pairs.split(' ').filter_map(|pair| pair.split_once('/')) {
                    self.opposites.entry(one).or_default().push(other);
                    self.opposites.entry(other).or_default().push(one);
                }
            }
            Row::Phrase(phrase) => {
                let Some((words, instead)) = phrase.split_once(" => ") else { return };
                let (words, instead): (Vec<_>, _) = (words.split(' ').collect(), instead.split(' ').collect());
                if let Some(first) = words.first().copied() {
                    self.phrases.entry(first).or_default().push(Phrase { words, instead });
                }
            }
            Row::Opener(words) => self.openers.push(words.split(' ').collect()),
            Row::Courtesy(words) => self.courtesies.push(words.split(' ').collect()),
            Row::Counted(from, to) => _ = self.counted.insert(from, to),
            Row::Same(from, to) => _ = self.same.insert(from, to),
        }
    }

    /// Of what kind a word in small letters is.
    pub fn kind(&self, word: &str) -> Option<Veto> {
        self.kinds.get(word).copied()
    }

    /// The word that stands for it and for all that mean the same.
    pub fn same(&self, word: &str) -> Option<&'static str> {
        self.same.get(word).copied()
    }

    /// Whether it may follow a number without a space, as it is written.
    pub fn is_suffix(&self, word: &str) -> bool {
        self.suffixes.contains(word)
    }

    /// Whether it means something else with a capital letter.
    pub fn changes_with_capital(&self, word: &str) -> bool {
        self.capitals.contains(word)
    }

    /// Whether "can you", followed by it, is a way to ask for it.
    pub fn is_request(&self, word: &str) -> bool {
        self.requests.contains(word)
    }

    /// What says the opposite of it.
    pub fn opposites(&self, word: &str) -> &[&'static str] {
        self.opposites.get(word).map_or(&[], Vec::as_slice)
    }

    /// The unit that it is behind a number.
    pub fn counted(&self, word: &str) -> Option<&'static str> {
        self.counted.get(word).copied()
    }

    /// The ways to ask to be told something, longest first.
    pub fn openers(&self) -> &[Vec<&'static str>] {
        &self.openers
    }

    /// The clauses that are courtesies, longest first.
    pub fn courtesies(&self) -> &[Vec<&'static str>] {
        &self.courtesies
    }

    /// The phrases that begin with it, longest first.
    pub fn phrases(&self, first: &str) -> &[Phrase] {
        self.phrases.get(first).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_says_something_and_no_word_is_of_two_kinds() {
        let mut kinds = HashMap::new();
        for line in lines(WORDS) {
            match row(line) {
                None => panic!("no row: {line}"),
                Some(Row::Kind(kind, words)) => words.split(' ').for_each(|word| {
                    assert_eq!(word, word.to_lowercase(), "{line}");
                    let before = kinds.insert(word, kind).unwrap_or(kind);
                    assert_eq!(before, kind, "`{word}` is of two kinds");
                }),
                Some(Row::Opposite(pairs)) => {
                    pairs.split(' ').for_each(|pair| assert_eq!(pair.split('/').count(), 2, "{pair}"));
                }
                Some(Row::Phrase(phrase)) => assert_eq!(phrase.split(" => ").count(), 2, "{phrase}"),
                Some(Row::Same(from, to)) => {
                    assert!(get().same(to).is_none(), "`{from}` is `{to}`, which is another word again");
                    assert_ne!(from, to);
                }
                Some(Row::Counted(from, to)) => {
                    assert!(get().counted(to).is_none(), "`{from}` is `{to}`, which is another word again");
                }
                Some(Row::Suffix(_) | Row::Capital(_) | Row::Request(_) | Row::Opener(_) | Row::Courtesy(_)) => {}
            }
        }
    }
}
