//! In which script a text is written, and a guess in which language, by its commonest words.

use super::split::{Kind, Token};

/// A language whose commonest words are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    German,
    French,
    Spanish,
    Italian,
    Portuguese,
    Dutch,
}

/// A family of letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    Latin,
    Greek,
    Cyrillic,
    Hebrew,
    Arabic,
    Devanagari,
    Thai,
    Hangul,
    /// Both Japanese syllabaries, and the Chinese characters beside them.
    Kana,
    Han,
    Other,
}

/// Words that are common in one language and hardly found in the others.
const COMMON: &[(Language, &str)] = &[
    (
        Language::English,
        " the of is are am was were what how who when where why which do does did can could should would will my your \
        i you it to in on for with from and or a an this that please there has have into explain write give list \
        if not by at ",
    ),
    (
        Language::German,
        " der die das den dem ein eine einen einem ist sind wie wo wer wann warum und oder nicht ich du sie wir mein \
        meine mit von zu für auf im was kann welche kein keine ",
    ),
    (
        Language::French,
        " le la les un une des du est sont comment où qui quand pourquoi et ou ne pas je tu nous vous mon ma mes avec \
        de pour sur dans que quelle quel quels ce cette ",
    ),
    (
        Language::Spanish,
        " el la los las un una es son está cómo dónde quién cuándo qué por y o no yo mi con de para sobre en cuál que \
        como se del ",
    ),
    (
        Language::Italian,
        " il lo la gli un una è sono come dove chi quando perché e o non io mio mia con di per su nel della del che \
        qual quale ",
    ),
    (
        Language::Portuguese,
        " o os as um uma é são como onde quem quando porque e ou não eu meu minha com de para sobre em no na do da \
        qual que ",
    ),
    (Language::Dutch, " de het een is zijn hoe waar wie wanneer waarom en of niet ik mijn met van voor op in wat kan "),
];

/// The language with the most common words in the text, English of equals; none without one.
pub(super) fn guess(tokens: &[Token]) -> Option<Language> {
    let mut counts = [0usize; COMMON.len()];
    for token in tokens.iter().filter(|token| token.kind == Kind::Word) {
        let word = format!(" {} ", token.text.to_lowercase());
        for (count, (_, common)) in counts.iter_mut().zip(COMMON) {
            *count += usize::from(common.contains(&word));
        }
    }
    let most = *counts.iter().max()?;
    let first = counts.iter().zip(COMMON).find(|(count, _)| **count == most && most > 0);
    first.map(|(_, (language, _))| *language)
}

/// The script of most of its letters; none without a letter.
pub(super) fn script(text: &str) -> Option<Script> {
    let mut counts: [(Script, usize); 11] = [
        (Script::Kana, 0),
        (Script::Han, 0),
        (Script::Hangul, 0),
        (Script::Latin, 0),
        (Script::Greek, 0),
        (Script::Cyrillic, 0),
        (Script::Hebrew, 0),
        (Script::Arabic, 0),
        (Script::Devanagari, 0),
        (Script::Thai, 0),
        (Script::Other, 0),
    ];
    for letter in text.chars().filter(|letter| letter.is_alphabetic()) {
        let of = of_letter(letter);
        counts.iter_mut().filter(|(script, _)| *script == of).for_each(|(_, count)| *count += 1);
    }
    // Japanese is written in both.
    if let [(Script::Kana, kana @ 1..), (Script::Han, han), ..] = &mut counts {
        *kana += std::mem::take(han);
    }
    let (script, most) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    (most > 0).then_some(script)
}

fn of_letter(letter: char) -> Script {
    match letter {
        'a'..='z' | 'A'..='Z' | '\u{aa}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => Script::Latin,
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Script::Greek,
        '\u{400}'..='\u{52f}' => Script::Cyrillic,
        '\u{590}'..='\u{5ff}' => Script::Hebrew,
        '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' => Script::Arabic,
        '\u{900}'..='\u{97f}' => Script::Devanagari,
        '\u{e00}'..='\u{e7f}' => Script::Thai,
        '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7af}' => Script::Hangul,
        '\u{3040}'..='\u{30ff}' => Script::Kana,
        '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{323af}' => Script::Han,
        _ => Script::Other,
    }
}
