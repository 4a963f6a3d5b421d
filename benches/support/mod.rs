//! What the benches share: load, histograms, processes from outside, and the no-op processor that
//! is the floor of every comparison.
#![expect(dead_code, reason = "the tables that use the rest are still to come; tests and benches use parts each")]

pub mod answer;
pub mod histogram;
pub mod load;
pub mod noop;
pub mod proc;
pub mod streams;
