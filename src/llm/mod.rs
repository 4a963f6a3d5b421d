//! The canonical words: what a call, an answer, its tokens and a refusal are, in no wire format.

pub mod call;
pub mod delta;
pub mod fold;
pub mod quirk;
pub mod refusal;
pub mod reply;
pub mod usage;

pub use call::{Call, Dialect, Media, Operation};
pub use delta::Delta;
pub use fold::Fold;
pub use quirk::Quirk;
pub use refusal::{Code, Refusal};
pub use reply::{Finish, Reply};
pub use usage::{PriceRow, Units, Usage, UsageSource};
