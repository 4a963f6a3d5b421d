//! What is in `mesh/` and `examples/egress-gateway`: the resources, resolved and checked one against another.

mod configured;
mod matched;
mod pods;
mod resolved;
