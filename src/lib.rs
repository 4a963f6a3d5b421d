//! Weir: an Envoy external processor for the LLM calls that leave a workload.
//!
//! Weir holds no connection to a provider. Envoy carries the traffic; Weir is told what passes and
//! says what shall happen to it.
//!
//! # The way of a request
//!
//! ```text
//! Envoy --gRPC--> extproc::server    one stream an HTTP exchange
//!                 extproc::drive     the loop of one stream, around all that follows
//!                 extproc::incoming  bytes -> what is needed of a ProcessingRequest
//!                 extproc::read      that -> exchange::event::Event
//!                 exchange           Exchange::on, the state machine; asks what it cannot know
//!                   request          by the head: Identify, then pass it on, refuse it or hold it
//!                   steps            held and complete: Target Access Admit Guard Recall Reserve Count Sign
//!                   forward          what it leaves with: path, host, headers, body
//!                   response, watch  meter what comes back, edit it where a rule says so
//!                   story            what it came to: one record
//!                 world              answers an Ask (I/O), queues a Note (records, metrics)
//!                 extproc::write     exchange::event::Action -> what is answered
//!                 extproc::outbox    what Envoy has no room for yet
//! Envoy <--gRPC-- extproc::outgoing  an answer -> the bytes of a ProcessingResponse
//! ```
//!
//! The other ends of an exchange are in `exchange::replay` (a kept answer), `follow` (the answer that
//! another exchange is getting), `local_reply` (the proxy's own reply) and `stop` (a limit ran out, the
//! process ends, there is no room). `exchange::phase` says which action is legal when.
//!
//! Everything is put together in [`app`]; a configuration becomes a [`policy::Policy`] in [`config`];
//! notes become metrics and ledger lines in [`telemetry`]. A provider's wire format is a folder of
//! [`wire`].
//!
//! # Layers
//!
//! A module imports only from the layers below it, or from its own folder. Layers 0 to 5 are pure:
//! no I/O, no clock, no environment, except files whose first line says `[io]`.
//! `tests/it/architecture.rs` checks this.

// 0: no domain.
pub mod base;
// 1: the canonical words.
pub mod llm;
// 2: formats and data, and the way to the store that replicas share.
pub mod catalog;
pub mod store;
pub mod tokens;
pub mod wire;
// 3: one capability each, blind to one another.
pub mod access;
pub mod cache;
pub mod credential;
pub mod guard;
pub mod identity;
pub mod limit;
pub mod meter;
pub mod target;
// 4: compiled rules.
pub mod policy;
// 5: the state machine of one HTTP exchange.
pub mod exchange;
// 6: the outside.
pub mod config;
pub mod render;
pub mod telemetry;
pub mod world;
// 7: hosts.
pub mod admin;
pub mod doctor;
pub mod extproc;
pub mod mock;
// 8: composition.
pub mod app;
pub mod cli;
pub mod up;
