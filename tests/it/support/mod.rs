//! What the integration tests share: clients with byte control, guarded processes, Envoy's counters.
//! Nothing here asserts on the product; helpers panic only when the test cannot go on.

pub mod aws;
pub mod certs;
pub mod cluster;
pub mod envoy_stats;
pub mod gateway_kinds;
pub mod gateway_xds;
pub mod http1;
pub mod http1_parse;
pub mod http2;
pub mod istio;
pub mod json_patch;
pub mod kustomize;
#[macro_use]
mod modes;
pub mod process;
pub mod python;
pub mod redis;
pub mod redis_proxy;
pub mod response;
pub mod root;
pub mod source;
pub mod split;
pub mod tls;

pub use crate::bench::support::proc;
