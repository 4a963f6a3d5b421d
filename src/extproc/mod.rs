//! The only place that knows Envoy: the `ext_proc` v3 service (`envoy.service.ext_proc.v3`), as
//! Envoy 1.40 was seen to speak it.
//!
//! # The life of a stream
//!
//! Envoy opens one stream an HTTP exchange. The first message is the request's head; body, trailers
//! and the response's parts follow as they come, without waiting for an answer. Every part is
//! answered in order, at most once, and a body ends the way the other side ended it: by the flag, or
//! by trailers. A part that was the whole message (`end_of_stream` on its head) gets no body message.
//!
//! The end of the stream says nothing. With Envoy 1.40 and tonic a normal end is an error ("h2
//! protocol error"), an abandoned exchange a clean end. Whatever it is, the exchange is told `Gone`
//! once, and knows by itself whether it was complete.
//!
//! A filter says in its initial metadata which of two it is. The one of the route (`drive`) sends exchanges. The one in a
//! provider's cluster (`attempt`) asks what one attempt sends, where a call may visit several backends: a stream of its
//! own with the request's head alone, answered by whoever runs the exchange (`registry`). Attempts have a listener of
//! their own, which lives as long as the exchanges do, and may come to another process than theirs (`siblings`). What
//! another attempt is written from is held until the answer begins, or until somebody else needs the room (`originals`).
//!
//! | body mode | request | response | a streamed local answer |
//! |---|---|---|---|
//! | `FULL_DUPLEX_STREAMED` | held or passed chunk by chunk | likewise | `StreamedImmediateResponse`, after the request has ended |
//! | `BUFFERED` request, `STREAMED` response | held by Envoy; what passes is switched to `STREAMED` at its head | its head goes on at once, each chunk is answered by one | none: one `ImmediateResponse` |
//! | `BUFFERED` both | likewise | held by Envoy, with its head | none |
//!
//! Envoy says its mode in its first message. In the last two it waits for the answer to each part (`turns`),
//! and `end` of a body that trailers follow is said by the body itself.

mod asked;
mod attempt;
pub mod claims;
mod drive;
mod feed;
mod fields;
mod incoming;
mod leave;
mod metadata;
mod modes;
mod originals;
mod outbox;
mod outgoing;
mod pool;
mod put;
mod read;
mod registry;
pub mod server;
pub mod service;
mod siblings;
pub mod signing;
pub mod tls;
mod turns;
mod write;

pub use attempt::Attempt;
pub use drive::Drive;
pub use fields::Malformed;
pub use incoming::{Incoming, Modes, Part};
pub use outbox::Outbox;
pub use outgoing::{NoRoom, Outgoing, Way, What};
pub use pool::{Pool, PoolLimits};
pub use read::read;
pub use siblings::Siblings;
pub use write::Writer;
