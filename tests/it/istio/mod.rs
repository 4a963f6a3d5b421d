//! Weir in an Istio mesh, as far as that goes without one: `weir render --mesh istio` is applied by the rules of a
//! control plane (`support::istio`) to a configuration of Istio's shape, and a real Envoy with `weir run` beside it
//! serves calls with the result. Providers are mocks behind TLS, with certificates for the providers' real names.

mod examples;
mod failover;
mod gateway;
mod rendered;
pub mod rig;
mod sidecar;
