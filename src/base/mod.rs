//! What has no domain: JSON bytes, money, patterns, secrets, time, words. Imports nothing of Weir's.

pub mod base64;
pub mod glob;
pub mod json;
pub mod money;
pub mod now;
pub mod rfc3339;
pub mod secret;
pub mod socket;
pub mod words;
