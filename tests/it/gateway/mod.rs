//! Role Gateway as it is deployed: clients come to a real Envoy over mutual TLS, `jwt_authn` checks their tokens,
//! and that Envoy reaches Weir over mutual TLS too. Every suite asks the oracle at its end.

mod callers;
mod forgery;
mod hops;
mod listener;
pub mod rig;
mod rotation;
mod tokens;
