//! The stream of one attempt: the proxy is about to send a request, that an exchange has let go, to a backend, and
//! asks what goes there. Its filter (role `attempt`) stands in the backend's own cluster and sends the request's head
//! alone, because Envoy 1.40 ends with a segmentation fault when it sends more, or a response's head too.
//!
//! Which exchange it is, for which backend the request is written as it stands, and what became of the attempt before
//! say the fields of dynamic metadata: no header does, for the proxy keeps an attempt's headers for the next one and
//! whatever named it would leave with this one. A process that does not know the exchange passes the question on to the
//! one that the exchange's id names (`siblings`). Where that one is gone, the request goes as it stands where it was
//! written for this backend, and nowhere else.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio_stream::Stream;
use tonic::{Status, Streaming};

use super::claims;
use super::incoming::{Incoming, Part};
use super::metadata::NAMESPACE;
use super::outgoing::{Outgoing, Way, What};
use super::pool::{Held, Pool};
use super::registry::{Answered, Asking, Asks};
use super::siblings::Siblings;
use super::write;
use crate::exchange::event::{Again, Failed, ResponseHead};
use crate::exchange::refused;
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
    /// Who may hold the exchange where this process does not; none where nobody else is asked.
    siblings: Option<Arc<Siblings>>,
    state: State,
    /// The body that was answered with, until it was sent.
    held: Option<Held>,
}

enum State {
    Fresh,
    /// The exchange was asked; the flag says what to do where it does not answer: let the request go as it stands.
    Asking(oneshot::Receiver<Answered>, bool),
    /// Another process was asked; the flag says the same.
    PassingOn(Pin<Box<dyn Future<Output = Option<Bytes>> + Send>>, bool),
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
    pub fn new(
        inbound: Streaming<Incoming>,
        pool: Arc<Pool>,
        backend: String,
        siblings: Option<Arc<Siblings>>,
    ) -> Self {
        Attempt { inbound, pool, backend, siblings, state: State::Fresh, held: None }
    }

    /// The head has come: the exchange is asked. Some answer where it cannot be.
    fn ask(&mut self, metadata: Bytes) -> Option<Again> {
        let told = Told::read(&metadata);
        let fits = !self.backend.is_empty() && told.written_for == self.backend;
        let asks = Asks { backend: self.backend.clone(), fits, before: told.before };
        match self.pool.attempts().ask(&told.exchange, asks) {
            Asking::Exchange(answer) => {
                self.state = State::Asking(answer, fits);
                return None;
            }
            Asking::Stands => return Some(Again::Same),
            Asking::Nobody => {}
        }
        let holder =
            self.siblings.as_ref().and_then(|siblings| Some((siblings.clone(), siblings.holder(&told.exchange)?)));
        let Some((siblings, process)) = holder else { return Some(self.unheard(fits)) };
        let backend = self.backend.clone();
        let answer = async move { siblings.ask(process, &backend, &metadata).await };
        self.state = State::PassingOn(Box::pin(answer), fits);
        None
    }

    /// What the exchange answers, as soon as it does.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Outgoing> {
        let answered = match &mut self.state {
            State::Asking(answer, fits) => match Pin::new(answer).poll(cx) {
                Poll::Ready(Ok(Answered { again, held })) => {
                    self.held = Some(held);
                    write::attempt(again)
                }
                Poll::Ready(Err(_)) => {
                    let fits = *fits;
                    write::attempt(self.unheard(fits))
                }
                Poll::Pending => return Poll::Pending,
            },
            State::PassingOn(answer, fits) => match answer.as_mut().poll(cx) {
                Poll::Ready(Some(message)) => Outgoing::new(What::PassedOn(message)),
                Poll::Ready(None) => {
                    let fits = *fits;
                    write::attempt(self.unheard(fits))
                }
                Poll::Pending => return Poll::Pending,
            },
            State::Fresh | State::Answered => return Poll::Pending,
        };
        self.state = State::Answered;
        Poll::Ready(answered)
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
            if let Poll::Ready(answer) = this.poll_answer(cx) {
                return Poll::Ready(Some(Ok(answer)));
            }
            match Pin::new(&mut this.inbound).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => match (message.part, &this.state) {
                    (Some(Part::RequestHead(..)), State::Fresh) => {
                        if let Some(again) = this.ask(message.metadata) {
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
