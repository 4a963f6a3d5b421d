//! The canonical words: what a call, an answer, its tokens and a refusal are, in no wire format.

pub mod allowance;
pub mod call;
pub mod chat;
pub mod delta;
pub mod dropped;
pub mod embed;
pub mod fault;
pub mod fold;
pub mod format;
pub mod ids;
pub mod part;
pub mod quirk;
pub mod refusal;
pub mod reply;
pub mod rerank;
pub mod usage;

pub use allowance::{Allowance, Allowances};
pub use call::{Call, Dialect, Media, Operation};
pub use chat::Chat;
pub use delta::Delta;
pub use dropped::Dropped;
pub use embed::{Embed, Embeddings};
pub use fault::{Fault, FaultKind};
pub use fold::Fold;
pub use format::Format;
pub use ids::CallIds;
pub use part::{Content, Part, Signature};
pub use quirk::Quirk;
pub use refusal::{Code, Refusal};
pub use reply::{Finish, Reply};
pub use rerank::{Ranking, Rerank};
pub use usage::{PriceRow, Units, Usage, UsageSource};
