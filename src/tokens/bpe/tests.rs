//! Exactness of slices, and texts that are made to hurt.

use proptest::prelude::*;

use super::*;

#[test]
fn models_use_their_tables() {
    for model in
        ["gpt-4", "gpt-4-turbo", "gpt-3.5-turbo", "gpt-3.5-turbo-0125", "text-embedding-3-small", "babbage-002"]
    {
        assert_eq!(encoding_for(model), Encoding::Cl100k, "{model}");
    }
    for model in ["gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-5", "o3", "claude-sonnet-4-5", "openai/gpt-oss-120b", ""] {
        assert_eq!(encoding_for(model), Encoding::O200k, "{model}");
    }
    assert_eq!(encoding_for("ft:gpt-3.5-turbo-0125:acme::id"), Encoding::Cl100k);
    assert_eq!(encoding_for("openai/gpt-4"), Encoding::Cl100k);
}

#[test]
fn a_count_is_exact_where_the_table_is_published() {
    for model in ["gpt-4o", "gpt-4", "openai/gpt-5-mini", "ft:gpt-3.5-turbo-0125:acme::id", "o3-mini", "gpt-oss-120b"] {
        assert!(is_exact(model), "{model}");
    }
    for model in ["claude-sonnet-4-5", "llama-3.3-70b", "mistral-large", "olmo-2", "my-gpt-4o", ""] {
        assert!(!is_exact(model), "{model}");
    }
}

#[test]
fn counts_are_those_of_the_tokenizer() {
    assert_eq!(count("gpt-4o", ""), 0);
    assert_eq!(count("gpt-4o", "hello world"), 2);
    assert_eq!(count("gpt-4", "hello world"), 2);
    // The published difference between the two tables.
    assert_eq!(count("gpt-4", "お誕生日おめでとう"), 9);
    assert_eq!(count("gpt-4o", "お誕生日おめでとう"), 8);
}

#[test]
fn a_text_in_slices_counts_like_a_whole_one() {
    let text = "The quick brown fox, jumped over  the lazy dog.\n\nIt didn't mind: 12345 times! ".repeat(2_000);
    assert!(text.len() > 2 * SLICE);
    let whole = Encoding::O200k.table().unwrap().count_ordinary(&text) as u64;
    assert_eq!(count("gpt-4o", &text), whole);
}

#[test]
fn two_megabytes_of_spaces_are_counted() {
    let text = " ".repeat(2 << 20);
    let tokens = count("gpt-4o", &text);
    assert!(tokens > 0 && tokens < text.len() as u64 / 8, "{tokens}: long runs are few tokens");
}

#[test]
fn a_panic_costs_only_its_slice() {
    assert_eq!(contained(|| 1), Some(1));
    assert_eq!(contained(|| -> u8 { panic!("as the tokenizer would") }), None);
}

#[test]
fn slices_end_before_a_space_after_a_word() {
    let text = format!("{} {}", "a".repeat(SLICE - 10), "b".repeat(100));
    let cuts: Vec<&str> = slices(&text).collect();
    assert_eq!(cuts.len(), 2);
    assert!(cuts[0].ends_with('a') && cuts[1].starts_with(" b"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn slices_are_the_text_and_bounded(
        parts in proptest::collection::vec(("[a-zé世 \\n\\t🦀]{1,6}", 1usize..30_000), 1..6),
    ) {
        let text: String = parts.iter().map(|(part, times)| part.repeat(*times)).collect();
        let cuts: Vec<&str> = slices(&text).collect();
        prop_assert_eq!(cuts.concat(), text.as_str());
        prop_assert!(cuts.iter().all(|slice| !slice.is_empty() && slice.len() <= SLICE));
        prop_assert!(cuts.len() <= 2 * text.len() / SLICE + 2, "{} slices of {} bytes", cuts.len(), text.len());
    }
}
