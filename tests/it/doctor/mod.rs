//! `weir doctor`: a real Envoy with what is rendered is healthy, and one that is broken is found out.

mod commands;
mod egress;
mod istio;
pub mod rig;
