//! Envoy configuration from a plan of listeners and upstreams: pure functions, and one file that
//! writes the results for `up` to disk.

pub mod attempt;
pub mod document;
pub mod envoy;
pub mod files;
mod filter;
pub mod gateway;
pub mod istio;
mod local;
mod retry;
pub mod since;
pub mod tls;
pub mod yaml;
