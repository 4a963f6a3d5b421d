//! An answer to a question that was put in other words. What is found by a vector is only a candidate: it must be at
//! least as near as the rule's [`Threshold`], and no [`veto()`] may stand against it.
//!
//! Nothing here looks at a clock or speaks to anybody. Vectors come from an embedder elsewhere, or from [`lexical`].

pub mod index;
pub mod lexical;
#[cfg(feature = "local-embedder")]
pub mod local;
pub mod threshold;
pub mod vector;
pub mod veto;

#[cfg(test)]
mod tests;

pub use index::{Index, Kept, Limit};
pub use threshold::{Threshold, ThresholdError};
pub use vector::{Refused, Vector};
pub use veto::{Veto, veto};

/// Whether this build can run weights itself (`local`): it is a feature of the build, for what it costs.
pub const HAS_LOCAL: bool = cfg!(feature = "local-embedder");
