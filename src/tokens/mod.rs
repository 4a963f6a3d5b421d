//! Tokens from bytes: what a model has taught us, and an exact count where it is asked for.
//!
//! The provider's own count is the truth and is not made here. [`learned`] estimates before a call
//! and for a stream that ended early; [`bpe`] counts, at a price in memory and time.

pub mod bpe;
pub mod learned;
mod outputs;
pub mod uncounted;

pub use learned::Learned;
pub use uncounted::Uncounted;
