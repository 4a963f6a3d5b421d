//! The pattern of each form against the function that reads it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use regex::Regex;

use super::super::super::text::Form;
use super::*;

/// A form with its patterns, compiled.
struct Compiled {
    form: &'static Form,
    patterns: Vec<Regex>,
}

static FORMS: LazyLock<Vec<Compiled>> = LazyLock::new(|| {
    let patterns = |form: &Form| form.patterns.iter().map(|pattern| Regex::new(pattern).unwrap()).collect();
    forms().into_values().map(|form| Compiled { form, patterns: patterns(form) }).collect()
});

/// Every form that a row uses, by what it looks like.
fn forms() -> BTreeMap<(String, &'static str), &'static Form> {
    let mut found = BTreeMap::new();
    let mut add = |form: &'static Form| {
        found.insert((format!("{:?}{}", form.patterns, form.reserved.len()), form.example), form);
    };
    for (_, row) in every_row() {
        let mut shape = row.shape;
        loop {
            match shape {
                Shape::List { item, .. } => shape = *item,
                Shape::Map { key, value, .. } => {
                    add(key);
                    shape = *value;
                }
                Shape::Text(form) => break add(form),
                _ => break,
            }
        }
    }
    found
}

/// What the schema of a text says of it: written once more, from the same row.
fn allowed(Compiled { form, patterns }: &Compiled, text: &str) -> bool {
    let folded = text.to_ascii_lowercase();
    let named = form.reserved.iter().any(|(names, _)| names.contains(&folded.as_str()));
    let begun = form.reserved_prefixes.iter().any(|(prefix, _)| folded.starts_with(prefix));
    let fits = !form.bounded || text.chars().count() <= form.most;
    !text.is_empty() && fits && patterns.iter().all(|pattern| pattern.is_match(text)) && !named && !begun
}

/// Whoever reads it refuses the empty text before anything else.
fn reads(form: &Form, text: &str) -> bool {
    !text.is_empty() && (form.reads)(text)
}

fn agree(compiled: &Compiled, text: &str) {
    let form = compiled.form;
    let (allowed, reads) = (allowed(compiled, text), reads(form, text));
    assert!(allowed || !reads, "{text:?} can be read, and {:?} ({}) refuse it", form.patterns, form.example);
    assert!(
        reads || !allowed || !form.exact,
        "{text:?} fits {:?} ({}) and cannot be read",
        form.patterns,
        form.example
    );
}

#[test]
fn every_example_is_one() {
    assert!(FORMS.len() >= 35, "{}", FORMS.len());
    for compiled in FORMS.iter().filter(|compiled| !compiled.form.example.is_empty()) {
        let example = compiled.form.example;
        assert!(allowed(compiled, example) && reads(compiled.form, example), "{example}");
    }
}

/// At the bounds of every form, and one beyond.
#[test]
fn lengths_are_those_of_the_reader() {
    for form in FORMS.iter() {
        let most = form.form.most;
        for most in [most - 1, most, most + 1] {
            for unit in ["a", "0", "A", "*", "a.", "/", "a/", "abc.", "0.0000000000"] {
                let text: String = unit.chars().cycle().take(most).collect();
                agree(form, &text);
                let with = |before: &str, after: &str| {
                    let inside: String =
                        unit.chars().cycle().take(most - before.len().min(most) - after.len().min(most)).collect();
                    format!("{before}{inside}{after}")
                };
                for (before, after) in
                    [("spiffe://a/", ""), ("unix:/", ""), ("/", ""), ("", "%"), ("a", "a"), ("a/", "")]
                {
                    agree(form, &with(before, after));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Any text of the letters that forms are about.
    #[test]
    fn any_text_is_judged_alike(text in "[-a-zA-Z0-9.:/*%_ @?#~\\[\\]=,+\\t\u{7f}äß]{0,12}") {
        FORMS.iter().for_each(|form| agree(form, &text));
    }

    /// Numbers, times and shares, near what is allowed.
    #[test]
    fn numbers_are_judged_alike(text in "[0-9]{0,11}(\\.[0-9]{0,11})?(%|h|ms|s|m[0-9]{1,6}(s|ms)|Ki|k)?") {
        FORMS.iter().for_each(|form| agree(form, &text));
    }

    /// An example with a character more, less or another.
    #[test]
    fn what_is_nearly_right_is_judged_alike(at in 0..80usize, with in "[-a-zA-Z0-9.:/*%_ @?#\u{1}é]", how in 0..3u8) {
        for form in FORMS.iter() {
            let mut text: Vec<char> = form.form.example.chars().collect();
            let at = at % (text.len() + 1);
            let letter = with.chars().next().unwrap();
            match (how, at < text.len()) {
                (0, true) => drop(text.remove(at)),
                (1, true) => text[at] = letter,
                _ => text.insert(at, letter),
            }
            agree(form, &text.into_iter().collect::<String>());
        }
    }
}
