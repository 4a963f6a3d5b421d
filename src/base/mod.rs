//! What has no domain: JSON bytes, money, secrets, time, words. Imports nothing of Weir's.

pub mod json;
pub mod money;
pub mod now;
pub mod secret;
pub mod socket;
pub mod words;
