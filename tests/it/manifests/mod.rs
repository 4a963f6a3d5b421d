//! What is in `mesh/` and `examples/egress-gateway`: the resources, resolved and checked one against another; what
//! the image relies on.

mod configured;
mod image;
mod licences;
mod matched;
mod pods;
mod resolved;
mod socket;
