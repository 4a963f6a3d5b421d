//! What Envoy sent ([`Incoming`]) to [`Event`].

use bytes::Bytes;

use super::incoming::{Incoming, Part};
use super::write::Writer;
use crate::exchange::event::Event;

/// Reads one message. `writer` is told what has to be answered, and how a body ended, for it must end it in
/// the same way. None for a message that carries nothing an exchange could use.
pub fn read(message: Incoming, writer: &mut Writer) -> Option<Event> {
    Some(match message.part? {
        Part::RequestHead(head, end) => {
            writer.request_head(end);
            Event::Request(head, end)
        }
        Part::RequestBody(bytes, end) => {
            let end = writer.request_body(&bytes, end);
            Event::RequestBody(bytes, end)
        }
        Part::RequestTrailers => writer.request_trailers().then(|| Event::RequestBody(Bytes::new(), true))?,
        Part::ResponseHead(head, end) => {
            writer.response_head(end, head.status);
            Event::Response(head, end)
        }
        Part::ResponseBody(bytes, end) => {
            let end = writer.response_body(&bytes, end);
            Event::Chunk(bytes, end)
        }
        Part::ResponseTrailers => writer.response_trailers().then(|| Event::Chunk(Bytes::new(), true))?,
    })
}
