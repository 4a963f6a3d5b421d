//! Bills of images, seconds, characters, queries and pages, worked out by hand.

use super::*;

fn unit(units: Units) -> Usage {
    Usage { units, ..Usage::default() }
}

fn images(images_out: u64) -> Usage {
    unit(Units { images_out, ..Units::default() })
}

fn seconds(audio_in_ms: u64) -> Usage {
    unit(Units { audio_in_ms, ..Units::default() })
}

fn each(usd: &str) -> Rate {
    usd.parse().unwrap()
}

#[test]
fn the_catalogues_media_models_are_billed_by_their_own_unit() {
    let characters = |characters| unit(Units { characters, ..Units::default() });
    check(
        "openai",
        &[
            // 0.006 a minute.
            ("whisper-1", seconds(60_000), None, 6_000_000, 0),
            ("whisper-1", seconds(8_471), None, 847_100, 0),
            // 15 and 30 a million characters.
            ("tts-1", characters(6), None, 90_000, 0),
            ("tts-1-hd", characters(1_000_000), None, 30_000_000_000, 0),
            // 5 in, 8 image in, 30 image out a million; the images are those tokens.
            (
                "gpt-image-2",
                Usage { image_in: 40, image_out: 272, units: images(2).units, ..input(10) },
                None,
                50_000 + 320_000,
                8_160_000,
            ),
            // 2.50 in, 10 out; the seconds are those tokens.
            ("gpt-4o-transcribe", Usage { audio_in: 14, output: 2, ..seconds(9_000) }, None, 35_000, 20_000),
            ("gpt-4o-mini-tts", Usage { input: 10, audio_out: 100, ..characters(40) }, None, 6_000, 1_200_000),
        ],
    );
    let pages = |pages| unit(Units { pages, ..Units::default() });
    check(
        "mistral",
        &[
            // 0.003 a minute; the tokens that Mistral states beside it have no price.
            ("voxtral-mini-latest", Usage { input: 150, output: 42, ..seconds(30_000) }, None, 1_500_000, 0),
            ("mistral-ocr-latest", pages(3), None, 12_000_000, 0),
            ("mistral-ocr-latest", pages(3), Some("batch"), 6_000_000, 0),
        ],
    );
    // 0.00003083 a second: 30,830 nano.
    check("groq", &[("whisper-large-v3", seconds(1_500), None, 46_245, 0)]);
    check("cohere", &[("rerank-v3.5", unit(Units { queries: 3, ..Units::default() }), None, 6_000_000, 0)]);
    check("xai", &[("grok-imagine-image", images(3), None, 0, 60_000_000)]);
}

#[test]
fn the_rate_that_agrees_in_most_holds() {
    let with = |usd, variant: Option<&str>, quality: Option<&str>| RateRow {
        variant: variant.map(Into::into),
        quality: quality.map(Into::into),
        ..RateRow::new(Unit::PerImageOut, each(usd))
    };
    let rates = vec![
        with("0.04", None, None),
        with("0.08", None, Some("hd")),
        with("0.081", Some("1024x1792"), None),
        with("0.12", Some("1024x1792"), Some("hd")),
    ];
    let price = Price { rates, ..Price::default() };
    for (size, quality, nanos) in [
        (None, None, 40_000_000),
        (Some("1024x1024"), Some("standard"), 40_000_000),
        (Some("1024x1024"), Some("hd"), 80_000_000),
        (Some("1024x1792"), None, 81_000_000),
        (Some("1024x1792"), Some("hd"), 120_000_000),
    ] {
        let cost = price.cost(&images(1), Terms { size, quality, ..Terms::default() }).unwrap();
        assert_eq!((cost.output.nanos(), cost.input.nanos()), (nanos, 0), "{size:?} {quality:?}");
    }
    let only = Price { rates: vec![with("0.12", Some("1024x1792"), None)], ..Price::default() };
    assert_eq!(only.cost(&images(1), None), Err(Unpriced::NoRate(Unit::PerImageOut)), "no guess for another size");
}

#[test]
fn a_unit_without_a_rate_is_unpriced_and_not_free() {
    let tokens = Price::flat("p/m", [(Unit::Input, rate("1")), (Unit::Output, rate("2"))]);
    for (units, unit) in [
        (Units { images_in: 1, ..Units::default() }, Unit::PerImageIn),
        (Units { images_out: 1, ..Units::default() }, Unit::PerImageOut),
        (Units { audio_in_ms: 1, ..Units::default() }, Unit::PerAudioSecondIn),
        (Units { characters: 1, ..Units::default() }, Unit::PerCharacterIn),
        (Units { queries: 1, ..Units::default() }, Unit::PerQuery),
        (Units { pages: 1, ..Units::default() }, Unit::PerPage),
    ] {
        let alone = Usage { units, ..Usage::default() };
        assert_eq!(tokens.cost(&alone, None), Err(Unpriced::NoRate(unit)));
        assert_eq!(Price::default().cost(&alone, None), Err(Unpriced::NoRate(unit)));
    }
    // Searches and pages are no tokens in other words.
    let both = Usage { units: Units { queries: 1, ..Units::default() }, ..usage(1, 1) };
    assert_eq!(tokens.cost(&both, None), Err(Unpriced::NoRate(Unit::PerQuery)));
    // A price of seconds knows nothing of tokens that come without seconds.
    let timed = Price::flat("p/m", [(Unit::PerSecondIn, each("0.0001"))]);
    assert_eq!(timed.cost(&usage(1, 0), None), Err(Unpriced::NoRate(Unit::Input)));
    assert_eq!(timed.cost(&Usage::default(), None), Ok(Cost::default()));
}

#[test]
fn images_that_were_sent_are_billed_beside_text_and_not_beside_their_own_tokens() {
    let price = Price::flat("p/m", [(Unit::Input, rate("1")), (Unit::PerImageIn, each("0.0001"))]);
    let sent = Usage { units: Units { images_in: 2, ..Units::default() }, ..input(5) };
    assert_eq!(price.cost(&sent, None).unwrap().input.nanos(), 5_000 + 200_000);
    assert_eq!(price.cost(&Usage { image_in: 7, ..sent }, None).unwrap().input.nanos(), 12_000);
}

#[test]
fn what_the_community_map_calls_an_images_input_is_what_a_made_one_costs() {
    let price = Price::flat("p/m", [(Unit::PerImageIn, each("0.02"))]);
    assert_eq!(price.cost(&images(1), None), Err(Unpriced::NoRate(Unit::PerImageOut)));
    let price = Price { mode: Some(Mode::ImageGeneration), ..price };
    assert_eq!(price.cost(&images(2), None).unwrap().output.nanos(), 40_000_000);
}

#[test]
fn a_rate_for_long_media_needs_more_than_so_many_seconds() {
    let long = RateRow { above_seconds: Some(30), ..RateRow::new(Unit::PerSecondIn, each("0.002")) };
    let rates = vec![RateRow::new(Unit::PerSecondIn, each("0.001")), long];
    let price = Price { rates, ..Price::default() };
    let nanos = |ms| price.cost(&seconds(ms), None).unwrap().total.nanos();
    assert_eq!((nanos(30_000), nanos(30_001)), (30_000_000, 60_002_000));
}

proptest! {
    /// Every unit in whole nano-USD: nothing is lost and nothing comes twice.
    #[test]
    fn a_bill_is_the_sum_of_its_units(
        n in proptest::array::uniform6(0u64..1_000_000),
        r in proptest::array::uniform6(0u64..1_000_000),
    ) {
        let kinds = [
            Unit::PerImageIn, Unit::PerImageOut, Unit::PerSecondIn, Unit::PerCharacterIn, Unit::PerQuery, Unit::PerPage,
        ];
        // A rate of so many micro-USD, so that a thousandth of it is whole.
        let rates = kinds.into_iter().zip(r).map(|(kind, r)| (kind, each(&format!("{r}e-6"))));
        let price = Price::flat("p/m", rates);
        let [images_in, images_out, audio_in_ms, characters, queries, pages] = n;
        let usage = unit(Units { images_in, images_out, audio_in_ms, characters, queries, pages, searches: 0 });
        let nanos = |at: usize| i64::try_from(n[at] * r[at]).unwrap() * if at == 2 { 1 } else { 1000 };
        let cost = price.cost(&usage, None).unwrap();
        prop_assert_eq!(cost.output.nanos(), nanos(1));
        prop_assert_eq!(cost.input.nanos(), [0, 2, 3, 4, 5].map(nanos).into_iter().sum::<i64>());
    }
}
