//! The veto's own rules, a row each, and what must hold for any two texts.

use proptest::prelude::*;

use super::*;

/// What keeps them apart, and two texts.
const APART: &[(Veto, &str, &str)] = &[
    (Veto::Script, "Where is the station?", "Где вокзал?"),
    (Veto::Script, "東京はどこですか", "东京在哪里"),
    (Veto::Language, "How do I say hello?", "Wie sage ich hallo?"),
    (Veto::Quoted, "What does \"affect\" mean?", "What does “effect” mean?"),
    (Veto::Quoted, "What is \"it\"?", "What is it?"),
    (Veto::Code, "What does ls -r do?", "What does ls -R do?"),
    (Veto::Code, "Explain a && b", "Explain a || b"),
    (Veto::Code, "What is getUser?", "What is getuser?"),
    (Veto::Code, "Fix this:\n```\nx = 1\n```", "Fix this:\n```\nx  = 1\n```"),
    (Veto::Code, "if (a) { b = 1; }", "if (a) { B = 1; }"),
    (Veto::Code, "What is 5!?", "What is 5?"),
    (Veto::Number, "Is it 3.10?", "Is it 3.1?"),
    (Veto::Number, "Is it 1,5?", "Is it 15?"),
    (Veto::Number, "Is it -5?", "Is it 5?"),
    (Veto::Number, "Who was the first?", "Who was the third?"),
    (Veto::Number, "Is it twenty one?", "Is it twenty two?"),
    (Veto::Number, "Is it 007?", "Is it 7?"),
    (Veto::Unit, "Is 10% fine?", "Is 10 fine?"),
    (Veto::Unit, "Is $5 fine?", "Is €5 fine?"),
    (Veto::Unit, "Is 5 Mb fine?", "Is 5 MB fine?"),
    (Veto::Date, "Is it open at 9 am?", "Is it open at 9pm?"),
    (Veto::Date, "Is it open at 9:30?", "Is it open at 9:40?"),
    (Veto::Negation, "Is it on?", "Isn't it on?"),
    (Veto::Opposite, "Is it legal?", "Is it illegal?"),
    (Veto::Opposite, "Is it disabled by us?", "Is it abled by us?"),
    (Veto::Name, "Where is turkey?", "Where is Turkey?"),
    (Veto::Name, "Can us citizens vote?", "Can US citizens vote?"),
    (Veto::Name, "Is it vitamin a?", "Is it vitamin A?"),
    (Veto::Person, "What is my name?", "What is your name?"),
    (Veto::Modal, "Can I go?", "Must I go?"),
    (Veto::Tense, "Is it open?", "Was it open?"),
    (Veto::Question, "Who signed it?", "When signed it?"),
    (Veto::Degree, "Do all birds fly?", "Do most birds fly?"),
    (Veto::Relation, "Is it from him?", "Is it for him?"),
    (Veto::Relation, "What is the time?", "What is time?"),
    (Veto::Word, "Is it a hotel?", "Is it a house?"),
    (Veto::Order, "Convert EUR to USD", "Convert USD to EUR"),
    (Veto::Order, "No cats. Are dogs there?", "No. Cats are dogs there?"),
    (Veto::Order, "My mother's brother's wife is who?", "My brother's mother's wife is who?"),
];

/// Texts that may share an answer.
const TOGETHER: &[(&str, &str)] = &[
    ("", "  "),
    ("reset password", "Reset  Password"),
    ("WHO IS IT?", "Who is it?"),
    ("What's it?", "What is it"),
    ("I can't see it.", "I cannot see it"),
    ("Is it 1,000 dollars?", "Is it $1000?"),
    ("Is it twenty-one?", "Is it 21?"),
    ("Is it two hundred and five?", "Is it 205?"),
    ("Is it the third?", "Is it the 3rd?"),
    ("Is it 5 percent?", "Is it 5%?"),
    ("Is it 10km?", "Is it 10 kilometres?"),
    ("Is it 9 AM?", "Is it 9am?"),
    ("What does “it” mean?", "What does \"it\" mean?"),
    ("How do I get it?", "Could you tell me how to get it?"),
    ("Please tell me the way", "What is the way?"),
    ("What is the city's name?", "What is the name of the city?"),
    ("What is France's capital?", "What is the capital of France?"),
    ("In Go, how do I sort?", "How do I sort in Go?"),
    ("I would like to know what the way is", "What is the way?"),
    ("Hi, list the rules please!", "List the rules. Thanks in advance"),
    ("(Is it here?)", "Is it here?"),
    ("Kostet das 5 Euro?", "kostet das 5 Euro"),
];

#[test]
fn what_differs_is_vetoed_for_its_reason() {
    for (expected, one, other) in APART {
        assert_eq!(veto(one, other), Some(*expected), "{one} / {other}");
        assert_eq!(veto(other, one), Some(*expected), "{other} / {one}");
    }
}

#[test]
fn what_says_the_same_is_not() {
    for (one, other) in TOGETHER {
        assert_eq!(veto(one, other), None, "{one} / {other}");
    }
}

#[test]
fn long_texts_are_not_compared() {
    let longest = "word ".repeat(LONGEST).split_off(4 * LONGEST);
    assert_eq!(veto(&longest, &longest), None);
    let longer = format!("{longest}s");
    assert_eq!(veto(&longer, &longer), Some(Veto::TooLong));
    assert_eq!(veto("word", &longer), Some(Veto::TooLong));
}

#[test]
fn every_reason_has_a_name_of_its_own() {
    let mut names = Veto::ALL.map(Veto::as_str);
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    assert!(Veto::ALL.is_sorted());
    // Each but the first can be had; that one has a test of its own.
    let had = |veto: &Veto| APART.iter().any(|(reason, ..)| reason == veto);
    assert!(Veto::ALL.iter().skip(1).all(had));
}

/// Text of the kinds of parts that mean something here, and of any others.
fn text() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "how", "do", "I", "what", "is", "the", "France", "'s", "capital", "of", ",", ".", "?", "in", "Python", "two",
        "hundred", "and", "five", "-", "5", "1,000", "%", "$", "km", "'", "\"", "`", "“", "”", "(", ")", "please",
        "thanks", "tell", "me", "can", "you", "list", "n't", "|", "```", "a", "–", "—", "’", "¿", "。", "#", "*", "\n",
        "10km",
    ]);
    let part = prop_oneof![4 => known.prop_map(str::to_owned), 1 => any::<String>()];
    let space = prop::sample::select(vec![" ", "", "\n", "\u{a0}"]);
    prop::collection::vec((part, space), 0..24)
        .prop_map(|parts| parts.into_iter().flat_map(|(part, space)| [part, space.to_owned()]).collect())
}

proptest! {
    #[test]
    fn no_text_is_vetoed_against_itself_and_none_is_too_strange(text in text()) {
        prop_assert_eq!(veto(&text, &text), None);
    }

    #[test]
    fn which_was_asked_makes_no_difference(one in text(), other in text()) {
        prop_assert_eq!(veto(&one, &other), veto(&other, &one));
    }

    /// Whatever is put between two words that are not there in the other text keeps the two apart.
    #[test]
    fn another_word_is_never_overlooked(text in "[a-z]{1,8}( [a-z]{1,8}){0,12}", at in 0..12usize, word in "[b-z]{3,12}x") {
        let mut words: Vec<&str> = text.split(' ').collect();
        words.insert(at.min(words.len()), &word);
        prop_assert!(veto(&text, &words.join(" ")).is_some());
    }

    #[test]
    fn another_number_is_never_overlooked(text in "[a-z]{1,8}( [a-z]{1,8}){0,12}", one in 0..10_000u32, other in 0..10_000u32) {
        let (asked, kept) = (format!("{text} {one}"), format!("{text} {other}"));
        prop_assert_eq!(veto(&asked, &kept), (one != other).then_some(Veto::Number));
    }
}

/// Time grows with the text: the worst of each kind of look ahead, many times over, is done in a moment. The count of
/// steps cannot be seen from here, so this only fails by hanging.
#[test]
fn nothing_is_quadratic_to_the_point_of_hanging() {
    for part in [
        "'a ",
        "(",
        ")",
        "a)",
        "“",
        "\"",
        "one ",
        "hundred and ",
        "a's ",
        "tell me the ",
        "please, ",
        "in a, b. ",
        "-",
        "5!",
    ] {
        let text = part.repeat(LONGEST / part.len());
        assert_eq!(veto(&text, &text), None, "{part}");
    }
}
