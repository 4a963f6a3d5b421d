//! End to end through a real Envoy. Every suite asks the oracle at its end (`Egress::assert_clean`).
//!
//! What a body mode can change runs in each of them: plain and streamed answers, tools, errors, keys, requests
//! without a body, trailers, large bodies, uploads and WebSockets, retries, and sides that leave. The rest runs in
//! the first mode alone (`first_mode!`). What cannot be the same in every mode:
//!
//! | suite | not in | why |
//! |---|---|---|
//! | `billed` | `BUFFERED` + `STREAMED` | a header that waits for the answer's usage has no place to wait |
//! | `live`: events and heads as they happen | `BUFFERED` both | Envoy holds the answer until it is whole |
//! | `faults::upstream`: a document that ends in the middle | `BUFFERED` both | nothing of it ever comes to Weir |
//! | `faults::tally`: a client that leaves a stream | `BUFFERED` both | no part of it has come to the client |
//! | `faults`: drain | all but the first | what is said between two chunks waits for the next one (`extproc::turns`) |

mod billed;
mod bodies;
mod callers;
mod chat;
mod codings;
pub mod egress;
mod http;
mod leaving;
pub mod ledger;
mod live;
mod namespaces;
pub mod pair;
mod refusals;
mod reload;
pub mod render;
mod rewrites;
mod routing;
mod sdk;
mod sdk_matrix;
mod situations;
mod tls;
mod up;
