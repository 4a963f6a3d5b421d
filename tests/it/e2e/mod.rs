//! End to end through a real Envoy. Every suite asks the oracle at its end (`Egress::assert_clean`).
//!
//! Every suite runs in every body mode, here and in `faults`, but for what cannot be the same in each:
//!
//! | suite | not in | why |
//! |---|---|---|
//! | `billed` | `BUFFERED` + `STREAMED` | a header that waits for the answer's usage has no place to wait |
//! | `live`: events and heads as they happen; `reload`: who began before a backend went | `BUFFERED` both | Envoy holds the answer until it is whole |
//! | `faults::{upstream, tally, counted}`: an answer that ends in the middle, a client that leaves it | `BUFFERED` both | no part of it comes to the client, or to Weir |
//! | `faults::{load, metrics, gone}`: streams that run side by side, or are left | `BUFFERED` both | the same |
//! | `faults::drain`, `faults::scripted`: a stream that Weir ends by itself | all but the first | what is said between two chunks waits for the next one (`extproc::turns`) |
//! | `up`, `render`, `envoy_gateway` | all but the first | processes and files; those that render serve with each form |

mod alike;
mod billed;
mod bodies;
mod callers;
mod chat;
mod clouds;
mod codings;
pub mod egress;
mod envoy_gateway;
mod explain;
mod http;
mod leaving;
pub mod ledger;
mod live;
pub mod matrix;
mod namespaces;
pub mod pair;
mod refusals;
mod reload;
pub mod render;
mod rewrites;
mod routing;
mod sdk;
mod sdk_beside;
mod sdk_matrix;
mod situations;
mod tls;
mod up;
mod vectors;
