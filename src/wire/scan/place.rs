//! Which member of which object means what: the tables of [`super::Scan`]. Nothing here has state.

use super::usage::{self, Entry, Field, Part};

/// The members of Top below which text is counted.
const ROOTS: &[&[u8]] = &[b"choices", b"delta", b"content", b"output", b"candidates", b"message", b"response"];

/// The keys whose string values are text.
const TEXT: &[&[u8]] = &[
    b"content",
    b"text",
    b"delta",
    b"reasoning_content",
    b"reasoning",
    b"thinking",
    b"refusal",
    b"arguments",
    b"partial_json",
    b"output_text",
    // Cohere.
    b"tool_plan",
    // Bedrock Converse, where a call's arguments come as text.
    b"input",
];

/// A finish reason inside more containers than this is data, not an answer's.
const FINISH_DEPTH: usize = 4;

/// An open container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) object: bool,
    pub(super) place: Place,
    /// Text in here counts.
    pub(super) text: bool,
}

/// Where a container stands, as far as that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The outermost array.
    Documents,
    Top,
    /// `response` or `message` of Top.
    Answer,
    /// `x_groq` of Top (Groq), and `delta` (Cohere): only their usage counts.
    Aside,
    /// `meta` of Top (Cohere).
    Meta,
    /// `serviceTier` of Top (Bedrock).
    Tier,
    /// `data` of Top: images, where images were asked for.
    Data,
    Usage(Part),
    Other,
}

/// What is done with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Nothing,
    Text,
    Model,
    Tier,
    Type,
    Finish,
    /// A finish reason behind which only the end of the body comes.
    LastFinish,
    Error,
    /// `done` of Top: `true` in the last document (Ollama).
    Done,
    Number(Field),
    Seconds(Field),
    UnknownNumber,
    /// `duration` of Top.
    Duration,
    /// `total_tokens` of a usage object.
    Total,
    /// `size` of Top.
    Size,
    /// `quality` of Top.
    Quality,
    Geo,
    Speed,
    /// USD.
    Cost,
    /// Of 1e-10 USD.
    Ticks,
    Byok,
    Modality,
    ModalityCount,
}

pub(super) const OTHER: Frame = Frame { object: true, place: Place::Other, text: false };

// === impl Slot ===

impl Slot {
    /// True for a string whose text is kept.
    pub(super) fn is_word(self) -> bool {
        use Slot::{Finish, Geo, LastFinish, Modality, Model, Quality, Size, Speed, Tier, Type};
        matches!(self, Model | Tier | Type | Finish | LastFinish | Geo | Speed | Modality | Size | Quality)
    }
}

/// What a container that is an element of `array` is, or one that is the outermost value.
pub(super) fn element(array: Option<Frame>) -> Frame {
    let Some(array) = array else {
        return Frame { place: Place::Documents, ..OTHER };
    };
    match array.place {
        Place::Documents => Frame { place: Place::Top, ..OTHER },
        Place::Usage(_) | Place::Other => array,
        // An array where an object belongs.
        Place::Top | Place::Answer | Place::Aside | Place::Meta | Place::Tier | Place::Data => {
            Frame { place: Place::Other, ..array }
        }
    }
}

/// What the member `key` of the object `parent` is, and what its container would be; `parent` is the
/// innermost of `depth` open containers.
pub(super) fn member(parent: Frame, depth: usize, key: &[u8]) -> (Slot, Frame) {
    let child = Frame { place: Place::Other, ..parent };
    match (parent.place, key) {
        (Place::Usage(part), _) => usage_member(part, key, child),
        (Place::Top | Place::Answer | Place::Aside, b"usage") => (Slot::Nothing, as_usage(child, Part::Usage)),
        (Place::Top, b"usageMetadata" | b"usage_info") => (Slot::Nothing, as_usage(child, Part::Usage)),
        (Place::Top, b"meta") => (Slot::Nothing, Frame { place: Place::Meta, ..child }),
        (Place::Meta, b"billed_units") => (Slot::Nothing, as_usage(child, Part::Usage)),
        (Place::Top, b"data") => (Slot::Nothing, Frame { place: Place::Data, ..child }),
        (Place::Top, b"duration") => (Slot::Duration, child),
        (Place::Top, b"size") => (Slot::Size, child),
        (Place::Top, b"quality") => (Slot::Quality, child),
        (Place::Top, b"modelVersion") | (Place::Top | Place::Answer, b"model") => (Slot::Model, child),
        (Place::Top | Place::Answer, b"service_tier") => (Slot::Tier, child),
        (Place::Top | Place::Answer, b"error") => (Slot::Error, child),
        (Place::Top, b"type") => (Slot::Type, child),
        (Place::Top, b"message") => (Slot::Nothing, Frame { place: Place::Answer, text: true, ..child }),
        // A string of Ollama's `/api/generate`.
        (Place::Top, b"response") => (Slot::Text, Frame { place: Place::Answer, text: true, ..child }),
        (Place::Top, b"x_groq") => (Slot::Nothing, Frame { place: Place::Aside, ..child }),
        (Place::Top, b"delta") => (Slot::Text, Frame { place: Place::Aside, text: true, ..child }),
        (Place::Top, b"content") => (Slot::Text, Frame { text: true, ..child }),
        (Place::Top, b"serviceTier") => (Slot::Tier, Frame { place: Place::Tier, ..child }),
        (Place::Tier, b"type") => (Slot::Tier, child),
        (Place::Top, b"done") => (Slot::Done, child),
        (Place::Top, usage::INVOCATION) => (Slot::Nothing, as_usage(child, Part::Invocation)),
        (Place::Top, b"prompt_eval_count" | b"eval_count") => usage_member(Part::Top, key, child),
        (Place::Top, _) if ROOTS.contains(&key) => (Slot::Nothing, Frame { text: true, ..child }),
        (_, b"reasoning_details") => (Slot::Nothing, Frame { text: false, ..child }),
        (_, b"finish_reason" | b"stop_reason" | b"done_reason") if depth <= FINISH_DEPTH => (Slot::Finish, child),
        (_, b"finishReason" | b"blockReason" | b"stopReason") if depth <= FINISH_DEPTH => (Slot::LastFinish, child),
        _ if parent.text && TEXT.contains(&key) => (Slot::Text, child),
        _ => (Slot::Nothing, child),
    }
}

fn as_usage(frame: Frame, part: Part) -> Frame {
    Frame { place: Place::Usage(part), text: false, ..frame }
}

fn usage_member(part: Part, key: &[u8], child: Frame) -> (Slot, Frame) {
    let unknown = as_usage(child, Part::Unknown);
    match usage::entry(part, key) {
        Entry::Number(field) => (Slot::Number(field), unknown),
        Entry::Seconds(field) => (Slot::Seconds(field), unknown),
        Entry::Redundant if part == Part::Usage && key == b"total_tokens" => (Slot::Total, unknown),
        Entry::Redundant => (Slot::Nothing, as_usage(child, Part::Repeated)),
        Entry::Part(part) => (Slot::Nothing, as_usage(child, part)),
        Entry::Tier => (Slot::Tier, unknown),
        Entry::Geo => (Slot::Geo, unknown),
        Entry::Speed => (Slot::Speed, unknown),
        Entry::Cost => (Slot::Cost, as_usage(child, Part::Cost)),
        Entry::Ticks => (Slot::Ticks, unknown),
        Entry::Byok => (Slot::Byok, unknown),
        Entry::Modality => (Slot::Modality, unknown),
        Entry::ModalityCount => (Slot::ModalityCount, unknown),
        Entry::Unknown => (Slot::UnknownNumber, unknown),
    }
}

/// Whether an event of that type is one whole image (OpenAI, images streaming events, 2026-09).
pub(super) fn is_image(kind: &str) -> bool {
    matches!(kind, "image_generation.completed" | "image_edit.completed")
}

/// Whether an event of that type repeats text that came before, or carries none.
pub(super) fn is_repetition(kind: &str) -> bool {
    let responses = kind.starts_with("response.") && (!kind.ends_with(".delta") || kind.ends_with("audio.delta"));
    responses || kind.ends_with(".done") || kind.ends_with(".completed")
}
