//! Envoy configuration from a plan of listeners and upstreams: pure functions, and one file that
//! writes their results to disk. No mesh resource is made here yet.

pub mod envoy;
pub mod files;
mod local;
mod retry;
