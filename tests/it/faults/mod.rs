//! What goes wrong, through a real Envoy: clients that leave, providers that break, a Weir that is
//! stopped, killed, drained or overloaded; and that what is billed and told stays right meanwhile.

mod canary;
mod commands;
mod counted;
mod drain;
mod examples;
pub mod explain;
mod failover;
mod gone;
mod handover;
mod hostile;
mod kept;
mod load;
mod metrics;
mod originals;
mod reload;
pub mod rig;
mod samples;
mod scripted;
mod soak;
mod tally;
mod upstream;
mod world;
