//! End to end through a real Envoy. Every suite asks the oracle at its end (`Egress::assert_clean`).

mod billed;
mod bodies;
mod callers;
mod chat;
pub mod egress;
mod http;
mod leaving;
pub mod ledger;
mod live;
pub mod pair;
mod refusals;
mod reload;
mod render;
mod rewrites;
mod routing;
mod sdk;
mod tls;
mod up;
