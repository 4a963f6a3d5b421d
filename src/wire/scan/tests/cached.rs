//! Sound and images that were read from a cache: stated twice, counted once.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Tokens of one prompt, by kind: new and cached.
#[derive(Clone, Copy, Debug)]
struct Prompt {
    text: [u64; 2],
    audio: [u64; 2],
    image: [u64; 2],
    video: u64,
}

impl Prompt {
    fn total(self) -> u64 {
        [self.text, self.audio, self.image].iter().flatten().sum::<u64>() + self.video
    }

    fn cached(self) -> u64 {
        self.text[1] + self.audio[1] + self.image[1]
    }

    fn usage(self) -> Usage {
        Usage {
            input: self.text[0],
            cache_read: self.cached(),
            cache_read_audio: self.audio[1],
            cache_read_image: self.image[1],
            audio_in: self.audio[0],
            image_in: self.image[0],
            video_in: self.video,
            ..Usage::default()
        }
    }

    /// OpenAI, with the details of what was cached or without.
    fn openai(self, [total, details]: [&str; 2], says: bool) -> Option<Usage> {
        let mut stated = json!({
            "cached_tokens": self.cached(), "text_tokens": self.text.iter().sum::<u64>(),
            "audio_tokens": self.audio.iter().sum::<u64>(), "image_tokens": self.image.iter().sum::<u64>(),
        });
        if says {
            let (text, audio, image) = (self.text[1], self.audio[1], self.image[1]);
            stated["cached_tokens_details"] =
                json!({ "text_tokens": text, "audio_tokens": audio, "image_tokens": image });
        }
        usage_of(json!({ (total): self.total(), (details): stated }))
    }

    fn gemini(self, says: bool) -> Option<Usage> {
        let detail = |kind: &str, count: u64| json!({ "modality": kind, "tokenCount": count });
        let sum = |counts: [u64; 2]| counts.iter().sum::<u64>();
        let mut usage = json!({
            "promptTokenCount": self.total(), "cachedContentTokenCount": self.cached(), "promptTokensDetails": [
                detail("TEXT", sum(self.text)), detail("AUDIO", sum(self.audio)),
                detail("IMAGE", sum(self.image)), detail("VIDEO", self.video),
            ],
        });
        if says {
            usage["cacheTokensDetails"] =
                json!([detail("TEXT", self.text[1]), detail("AUDIO", self.audio[1]), detail("IMAGE", self.image[1]),]);
        }
        scan(json!({ "usageMetadata": usage }).to_string().as_bytes()).usage
    }
}

const CHAT: [&str; 2] = ["prompt_tokens", "prompt_tokens_details"];
const RESPONSES: [&str; 2] = ["input_tokens", "input_tokens_details"];

proptest! {
    #[test]
    fn what_is_cached_is_counted_once(
        text in proptest::array::uniform2(0u64..50), audio in proptest::array::uniform2(0u64..50),
        image in proptest::array::uniform2(0u64..50), video in 0u64..50,
    ) {
        let prompt = Prompt { text, audio, image, video };
        prop_assert_eq!(prompt.gemini(true), Some(prompt.usage()));
        let silent = Prompt { video: 0, ..prompt };
        for names in [CHAT, RESPONSES] {
            prop_assert_eq!(silent.openai(names, true), Some(silent.usage()));
        }
        // Who does not say what was cached still states how many tokens there were.
        for (prompt, usage) in [
            (silent, silent.openai(CHAT, false)), (silent, silent.openai(RESPONSES, false)), (prompt, prompt.gemini(false)),
        ] {
            let usage = usage.unwrap();
            prop_assert_eq!((usage.total_input(), usage.cache_read), (prompt.total(), prompt.cached()), "{:?}", usage);
            prop_assert!(usage.cache_read_audio + usage.cache_read_image <= usage.cache_read);
        }
    }

    #[test]
    fn no_numbers_make_more_of_a_part_than_of_its_whole(n in proptest::array::uniform5(any::<u64>())) {
        let details = json!({
            "cached_tokens": n[0], "audio_tokens": n[1], "image_tokens": n[2],
            "cached_tokens_details": { "audio_tokens": n[3], "image_tokens": n[4] },
        });
        let usage = usage_of(json!({ "prompt_tokens": n[4], "prompt_tokens_details": details })).unwrap();
        prop_assert_eq!(usage.cache_read, n[0]);
        prop_assert!(usage.cache_read_audio.checked_add(usage.cache_read_image).is_some_and(|parts| parts <= n[0]));
    }
}

/// In the form of OpenAI (`input_token_details` of `response.done`): 132 tokens in, of these 13 of sound.
#[test]
fn an_answer_with_cached_sound() {
    let usage = usage_of(json!({
        "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
        "input_token_details": {
            "text_tokens": 119, "audio_tokens": 13, "image_tokens": 0, "cached_tokens": 72,
            "cached_tokens_details": { "text_tokens": 64, "audio_tokens": 8, "image_tokens": 0 }
        },
        "output_token_details": { "text_tokens": 30, "audio_tokens": 91 }
    }));
    let expected = Usage {
        input: 55,
        cache_read: 72,
        cache_read_audio: 8,
        audio_in: 5,
        output: 30,
        audio_out: 91,
        ..Usage::default()
    };
    assert_eq!(usage, Some(expected));
}
