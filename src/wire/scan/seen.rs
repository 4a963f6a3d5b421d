//! What [`super::Scan`] has found.

use std::sync::Arc;

use crate::base::money::NanoUsd;
use crate::llm::Usage;

/// What has been found so far, over all documents that were pushed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The last model named; a name of more than 256 bytes is none.
    pub model: Option<Arc<str>>,
    /// The numbers of all usage objects that have closed, merged field by field.
    pub usage: Option<Usage>,
    pub service_tier: Option<Arc<str>>,
    /// Bytes of the answer's text as UTF-8, escapes decoded; of an unfinished string, what came.
    pub text_bytes: u64,
    /// The last finish reason, as the provider spells it.
    pub finish: Option<Arc<str>>,
    /// It came in one of the formats that say it last (Gemini, Bedrock Converse): what follows are at most
    /// numbers, and the end of the body.
    pub is_finished: bool,
    /// The last document of a stream said so of itself: Ollama's `done`, `InvokeModel`'s own numbers.
    pub is_last: bool,
    pub has_error: bool,
    /// The outermost value of the current document has closed.
    pub complete: bool,
    /// What usage objects state and no bill here covers: numbers other than zero without a place in
    /// [`Usage`], and words that change the price. Each occurrence counts.
    pub unknown_usage_fields: u32,
    pub aside: Aside,
    /// Some document was not JSON, or nested deeper than 128; the rest of it was not looked at.
    pub malformed: bool,
}

/// What an answer says elsewhere than in its usage; what it means depends on what was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aside {
    /// Objects in `data`, and events that are whole images.
    pub images: u64,
    /// `duration`, in milliseconds.
    pub duration_ms: Option<u64>,
    pub size: Option<Arc<str>>,
    pub quality: Option<Arc<str>>,
    /// `inference_geo` and `speed`, where they are not the ordinary ones.
    pub geo: Option<Arc<str>>,
    pub speed: Option<Arc<str>>,
    /// What the provider says that it bills for the call.
    pub cost: Option<NanoUsd>,
    /// It bills a fee alone, the call itself being on another one's bill.
    pub is_byok: bool,
    /// `total_tokens`, which is all that some say (Jina, Voyage).
    pub total_tokens: Option<u64>,
}

// === impl Aside ===

impl Aside {
    /// What the call costs in the provider's own words; none where that is not all of it.
    pub fn billed(&self) -> Option<NanoUsd> {
        self.cost.filter(|_| !self.is_byok)
    }
}
