//! Numbers in words, as digits. A number of several words is read as far as it is one: "twenty one" is 21, "one two"
//! are 1 and 2.

/// Small numbers, and what they are as ordinals.
const SMALL: &[(&str, &str)] = &[
    ("zero", "zeroth"),
    ("one", "first"),
    ("two", "second"),
    ("three", "third"),
    ("four", "fourth"),
    ("five", "fifth"),
    ("six", "sixth"),
    ("seven", "seventh"),
    ("eight", "eighth"),
    ("nine", "ninth"),
    ("ten", "tenth"),
    ("eleven", "eleventh"),
    ("twelve", "twelfth"),
    ("thirteen", "thirteenth"),
    ("fourteen", "fourteenth"),
    ("fifteen", "fifteenth"),
    ("sixteen", "sixteenth"),
    ("seventeen", "seventeenth"),
    ("eighteen", "eighteenth"),
    ("nineteen", "nineteenth"),
];

/// From twenty on, a ten each.
const TENS: &[(&str, &str)] = &[
    ("twenty", "twentieth"),
    ("thirty", "thirtieth"),
    ("forty", "fortieth"),
    ("fifty", "fiftieth"),
    ("sixty", "sixtieth"),
    ("seventy", "seventieth"),
    ("eighty", "eightieth"),
    ("ninety", "ninetieth"),
];

const SCALES: &[(&str, u64)] = &[("thousand", 1_000), ("million", 1_000_000), ("billion", 1_000_000_000)];

/// Other words that say how many, and are no number of their own.
const OTHERS: &[&str] = &[
    "half",
    "halves",
    "thirds",
    "quarter",
    "quarters",
    "dozen",
    "dozens",
    "double",
    "triple",
    "twice",
    "thrice",
    "single",
    "pair",
    "couple",
    "hundreds",
    "thousands",
    "millions",
    "billions",
    "hundredth",
    "thousandth",
    "trillion",
];

/// The number at the head of `words`, in digits (`#3` for the third), and how many words it takes.
pub(super) fn read<'a>(words: impl Iterator<Item = &'a str> + Clone) -> Option<(String, usize)> {
    let mut total: u64 = 0;
    let mut part: Option<u64> = None;
    let mut below = u64::MAX;
    let mut taken = 0;
    let mut rest = words.clone();
    loop {
        let mut ahead = rest.clone();
        let Some(word) = ahead.next() else { break };
        let mut step = 1;
        let word = match (word, part) {
            // "two hundred and five"; elsewhere it joins two numbers.
            ("and", Some(value)) if value >= 100 && value % 100 == 0 => {
                step = 2;
                match ahead.next() {
                    Some(word) if below_hundred(word).is_some_and(|(_, ordinal)| !ordinal) => word,
                    _ => break,
                }
            }
            (word, _) => word,
        };
        if let Some((value, ordinal)) = below_hundred(word) {
            part = match part {
                None => Some(value),
                Some(before) if before % 10 == 0 && before % 100 >= 20 && (1..10).contains(&value) => {
                    Some(before + value)
                }
                Some(before) if before >= 100 && before % 100 == 0 => Some(before + value),
                Some(_) => break,
            };
            if ordinal {
                return Some((format!("#{}", total.saturating_add(part.unwrap_or(0))), taken + step));
            }
        } else if word == "hundred" && part.is_none_or(|part| part < 10) {
            part = Some(part.unwrap_or(1) * 100);
        } else if let Some((_, scale)) = SCALES.iter().find(|(name, scale)| *name == word && *scale < below) {
            total = total.saturating_add(part.unwrap_or(1).saturating_mul(*scale));
            (part, below) = (None, *scale);
        } else {
            break;
        }
        taken += step;
        rest = ahead;
    }
    (taken > 0).then(|| (total.saturating_add(part.unwrap_or(0)).to_string(), taken))
}

/// Whether it says how many without being read by [`read`].
pub(super) fn is_other(word: &str) -> bool {
    OTHERS.contains(&word)
}

/// The value of one word, and whether it is an ordinal.
fn below_hundred(word: &str) -> Option<(u64, bool)> {
    let find = |table: &[(&str, &str)], first: u64, each: u64| {
        let at = table.iter().position(|(cardinal, ordinal)| *cardinal == word || *ordinal == word)?;
        let value = u64::try_from(at).ok()?;
        Some((first + value * each, table.get(at).is_some_and(|(_, ordinal)| *ordinal == word)))
    };
    find(SMALL, 0, 1).or_else(|| find(TENS, 20, 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_far_as_they_are_one_number() {
        for (text, expected) in [
            ("ten", Some(("10", 1))),
            ("twenty one dogs", Some(("21", 2))),
            ("one two three", Some(("1", 1))),
            ("two hundred and five cats", Some(("205", 4))),
            ("two hundred and cats", Some(("200", 2))),
            ("twenty and five", Some(("20", 1))),
            ("hundred", Some(("100", 1))),
            ("three thousand two hundred", Some(("3200", 4))),
            ("one million two thousand", Some(("1002000", 4))),
            ("one thousand two million", Some(("1002", 3))),
            ("first", Some(("#1", 1))),
            ("twenty third", Some(("#23", 2))),
            ("twenty twenty", Some(("20", 1))),
            ("nineteen eighty four", Some(("19", 1))),
            ("and", None),
            ("", None),
            ("dogs", None),
        ] {
            let read = read(text.split(' '));
            assert_eq!(read, expected.map(|(digits, taken)| (digits.to_owned(), taken)), "{text}");
        }
    }
}
