//! The stream of one attempt: the proxy is about to send a request, that an exchange has let go, to a backend, and
//! asks what goes there. Its filter (role `attempt`) stands in the backend's own cluster and sends the request's head
//! alone, because Envoy 1.40 ends with a segmentation fault when it sends more, or a response's head too.
//!
//! Which exchange it is, for which backend the request is written as it stands, and what became of the attempt before
//! say the fields of dynamic metadata: no header does, for the proxy keeps an attempt's headers for the next one and
//! whatever named it would leave with this one. A process that does not know the exchange (another one took its place
//! on the socket) lets the request go as it stands where it was written for this backend, and nowhere else.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use tokio_stream::Stream;
use tonic::{Status, Streaming};

use super::claims;
use super::incoming::{Incoming, Part};
use super::metadata::NAMESPACE;
use super::outgoing::{Outgoing, Way, What};
use super::pool::{Held, Pool};
use super::registry::{Answered, Asking, Asks};
use super::write;
use crate::exchange::attempts::refused;
use crate::exchange::event::{Again, Failed, ResponseHead};
use crate::exchange::retry_after;
use crate::identity::{Claim, Claims};
use crate::llm::Code;
use crate::render::attempt::ENDED;

/// One stream.
pub struct Attempt {
    inbound: Streaming<Incoming>,
    pool: Arc<Pool>,
    /// The backend in whose cluster the filter stands; empty where the filter does not say it.
    backend: String,
    state: State,
    /// The body that was answered with, until it was sent.
    held: Option<Held>,
}

enum State {
    Fresh,
    /// The exchange was asked; the flag says what to do where it does not answer: let the request go as it stands.
    Asking(oneshot::Receiver<Answered>, bool),
    Answered,
}

/// What the metadata says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    exchange: String,
    /// The backend for which the request is written as it stands.
    written_for: String,
    before: Option<Failed>,
}

// === impl Attempt ===

impl Attempt {
    /// A stream that has said nothing yet, of the filter in the cluster of `backend`.
    pub fn new(inbound: Streaming<Incoming>, pool: Arc<Pool>, backend: String) -> Self {
        Attempt { inbound, pool, backend, state: State::Fresh, held: None }
    }

    /// The head has come: the exchange is asked. Some answer where it cannot be.
    fn ask(&mut self, metadata: &[u8]) -> Option<Again> {
        let told = Told::read(metadata);
        let fits = !self.backend.is_empty() && told.written_for == self.backend;
        let asks = Asks { backend: self.backend.clone(), fits, before: told.before };
        match self.pool.attempts().ask(&told.exchange, asks) {
            Asking::Exchange(answer) => {
                self.state = State::Asking(answer, fits);
                None
            }
            Asking::Stands => Some(Again::Same),
            Asking::Nobody => Some(self.unheard(fits)),
        }
    }

    /// What is answered where no exchange does.
    fn unheard(&self, fits: bool) -> Again {
        if fits {
            return Again::Same;
        }
        self.pool.complain_of_attempt();
        Again::Not(refused(Code::UpstreamUnavailable, "The call cannot be sent to another backend any more."))
    }
}

impl Stream for Attempt {
    type Item = Result<Outgoing, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        // The transport asks for more when it has room again: what was answered has left.
        this.held = None;
        loop {
            if let State::Asking(answer, fits) = &mut this.state
                && let Poll::Ready(answered) = Pin::new(answer).poll(cx)
            {
                let again = match answered {
                    Ok(Answered { again, held }) => {
                        this.held = Some(held);
                        again
                    }
                    Err(_) => {
                        let fits = *fits;
                        this.unheard(fits)
                    }
                };
                this.state = State::Answered;
                return Poll::Ready(Some(Ok(write::attempt(again))));
            }
            match Pin::new(&mut this.inbound).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => match (message.part, &this.state) {
                    (Some(Part::RequestHead(..)), State::Fresh) => {
                        if let Some(again) = this.ask(&message.metadata) {
                            this.state = State::Answered;
                            return Poll::Ready(Some(Ok(write::attempt(again))));
                        }
                    }
                    // Not asked for; a filter that sends it would wait for ever.
                    (Some(Part::ResponseHead(..)), _) => {
                        return Poll::Ready(Some(Ok(Outgoing::new(What::Continue(Way::Response)))));
                    }
                    _ => {}
                },
                // Either kind of end says nothing; see the head of this folder's `mod.rs`.
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

// === impl Told ===

impl Told {
    fn read(metadata: &[u8]) -> Told {
        let own = claims::read(metadata, NAMESPACE);
        let ended = claims::read(metadata, ENDED);
        let status = text(&ended, "status").parse().ok();
        let before = status.map(|status| {
            let fields = ["retry-after", "retry-after-ms"].map(|name| (name, text(&ended, name)));
            let headers = fields.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            let after = retry_after(&ResponseHead { status, headers });
            Failed { backend: text(&ended, "backend").to_owned(), status, after }
        });
        Told { exchange: text(&own, "request_id").to_owned(), written_for: text(&own, "backend").to_owned(), before }
    }
}

fn text<'c>(claims: &'c Claims, name: &str) -> &'c str {
    let Claims::Said(Claim::Map(members)) = claims else { return "" };
    let found = members.iter().rev().find(|(key, _)| **key == *name);
    match found {
        Some((_, Claim::Text(text))) => text,
        _ => "",
    }
}

#[cfg(test)]
mod tests;
