//! What is kept of an answer.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::base::money::NanoUsd;
use crate::llm::Reply;

/// An answer as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The answer, encoded; only this module's reader knows how.
    pub bytes: Bytes,
    /// When it was stored, in seconds since the Unix epoch.
    pub stored: u64,
    /// How long it may be read, from then on; whole seconds, at least one.
    pub ttl: Duration,
}

/// What is encoded. The number in front of it changes with every type in it.
#[derive(Deserialize)]
struct Decoded {
    /// In nano-USD.
    cost: Option<i64>,
    /// What was asked, where like questions may find it.
    question: Option<String>,
    reply: Reply,
}

#[derive(Serialize)]
struct Encoded<'a> {
    cost: Option<i64>,
    question: Option<&'a str>,
    reply: &'a Reply,
}

/// The layout of what is encoded: what has another one is not read.
const LAYOUT: u8 = 1;

// === impl Entry ===

impl Entry {
    /// Its age at `now`, in seconds since the Unix epoch; none when it may not be read any more. A clock that was set
    /// back makes it new, not eternal: the store ends it as well.
    pub fn age(&self, now: u64) -> Option<Duration> {
        let age = Duration::from_secs(now.saturating_sub(self.stored));
        (age < self.ttl).then_some(age)
    }

    /// The answer in it, and what it cost when it was made. None of bytes that this version did not write.
    pub fn decode(&self) -> Option<(Reply, Option<NanoUsd>)> {
        self.read().map(|decoded| (decoded.reply, decoded.cost.map(NanoUsd)))
    }

    /// The question that it answers, where like ones may find it.
    pub fn question(&self) -> Option<String> {
        self.read()?.question
    }

    fn read(&self) -> Option<Decoded> {
        let (layout, rest) = self.bytes.split_first()?;
        if *layout != LAYOUT {
            return None;
        }
        let (decoded, rest) = postcard::take_from_bytes::<Decoded>(rest).ok()?;
        rest.is_empty().then_some(decoded)
    }
}

/// An answer, encoded, and its question where like ones may find it.
pub fn encode(reply: &Reply, cost: Option<NanoUsd>, question: Option<&str>) -> Option<Bytes> {
    let encoded = Encoded { cost: cost.map(NanoUsd::nanos), question, reply };
    let bytes = postcard::to_extend(&encoded, vec![LAYOUT]).ok()?;
    // What grew while it was written has up to twice the room that it needs, for as long as it is kept.
    Some(Bytes::from(bytes.into_boxed_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::part::{CacheMark, Citation, Media, MediaKind, Source, ToolCall};
    use crate::llm::reply::Choice;
    use crate::llm::{Content, Finish, Format, Part, Signature, Usage};

    fn full() -> Reply {
        let signature = Signature { maker: Format::Messages, data: "seal".into() };
        let call = ToolCall {
            id: "c".into(),
            name: "f".into(),
            arguments: "{}".into(),
            signature: Some(Signature { maker: Format::Gemini, data: "s".into() }),
        };
        let media = Media {
            kind: MediaKind::Image,
            mime: Some("image/png".into()),
            source: Source::Base64("AA==".into()),
            name: None,
            detail: None,
        };
        let citation = Citation { url: Some("https://example.com".into()), start: Some(1), ..Citation::default() };
        let parts = [
            Content::Text { text: "Hellö".into(), citations: vec![citation] },
            Content::Reasoning { text: "so".into(), signature: Some(signature.clone()) },
            Content::Redacted(signature),
            Content::ToolCall(call),
            Content::Media(media),
            Content::Refusal("no".into()),
        ];
        let mut parts: Vec<Part<'static>> = parts.into_iter().map(Part::new).collect();
        parts[0].cache = Some(CacheMark::Hour);
        let choice = Choice {
            parts,
            finish: Some(Finish::StopSequence),
            stop_sequence: Some("END".into()),
            logprobs: Some("{}".into()),
        };
        Reply {
            id: "r".into(),
            model: "m".into(),
            created: 7,
            choices: vec![choice, Choice::default()],
            usage: Some(Usage { input: 3, output: 300, ..Usage::default() }),
            service_tier: Some("default".into()),
        }
    }

    #[test]
    fn what_is_encoded_takes_no_more_room_than_it_has_bytes() {
        let bytes = encode(&full(), None, None).unwrap();
        let length = bytes.len();
        assert_eq!(bytes.try_into_mut().map(|bytes| bytes.capacity()), Ok(length));
    }

    fn entry(bytes: Bytes) -> Entry {
        Entry { bytes, stored: 100, ttl: Duration::from_secs(10) }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for (reply, cost) in [(full(), Some(NanoUsd(123_456))), (Reply::default(), None)] {
            let bytes = encode(&reply, cost, None).unwrap();
            assert_eq!(entry(bytes).decode(), Some((reply, cost)));
        }
    }

    /// Who changes a type in it changes this; then [`LAYOUT`] has to change as well, or what other replicas and
    /// earlier versions have kept would be read as something else.
    #[test]
    fn the_layout_is_what_it_was() {
        let bytes = encode(&full(), Some(NanoUsd(1)), Some("q")).unwrap();
        let hash = blake3::hash(&bytes).to_hex();
        assert_eq!((bytes.len(), &hash.as_str()[..16]), (158, "1496db66e6f88dfa"), "see LAYOUT");
    }

    #[test]
    fn bytes_of_anything_else_are_no_answer() {
        let bytes = encode(&full(), None, None).unwrap();
        for end in 0..bytes.len() {
            assert_eq!(entry(bytes.slice(..end)).decode(), None, "{end}");
        }
        let longer = [&bytes[..], &[0]].concat();
        let other = [&[LAYOUT + 1], &bytes[1..]].concat();
        for odd in [longer, other, b"{\"answer\":1}".to_vec()] {
            assert_eq!(entry(odd.into()).decode(), None);
        }
    }

    #[test]
    fn an_entry_ends_when_its_time_is_over() {
        let entry = entry(Bytes::new());
        assert_eq!(entry.age(100), Some(Duration::ZERO));
        assert_eq!(entry.age(109), Some(Duration::from_secs(9)));
        assert_eq!(entry.age(110), None);
        assert_eq!(entry.age(50), Some(Duration::ZERO));
    }
}
