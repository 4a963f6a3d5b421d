//! What is in `mesh/` and `examples/egress-gateway`: the resources, resolved and checked one against another; what
//! the image relies on; the two tiers, run.

mod applications;
mod commands;
mod configured;
mod image;
mod licences;
mod matched;
mod pods;
mod resolved;
mod socket;
mod tiers;
