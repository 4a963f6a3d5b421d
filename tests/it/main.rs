//! The integration tests, one binary. Suites that need a real Envoy or the Python SDK fail, and say
//! why, when it cannot be had.

// Tells the lints that helpers of tests may panic, as tests may.
#![cfg(test)]

// Its macros are for what follows.
#[macro_use]
mod support;

mod architecture;
mod bench;
mod cache;
mod cached;
mod cooldowns;
mod credentials;
mod doctor;
mod e2e;
mod exchange;
mod faults;
mod fuzz;
mod gateway;
mod istio;
mod limited;
mod limits;
mod manifests;
mod prices;
mod schema;
mod signing;
