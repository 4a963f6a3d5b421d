//! The words about one attempt of the proxy's to send a request that has left here.

use std::time::Duration;

use bytes::Bytes;

use super::{Edits, Local};

/// One attempt of the proxy's to send a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The first is 1. It need not be told where it goes to the backend that the request was written for.
    pub number: u32,
    /// The name of the backend.
    pub backend: String,
    /// What the attempt before was answered; none where there was none, or no answer: no connection, a reset, or too
    /// much time.
    pub before: Option<Failed>,
    /// What [`Keep`](super::Action::Keep) gave to the host; none where it was given up, or where there is no room to
    /// write it once more.
    pub original: Option<Bytes>,
}

/// The answer of an attempt that did not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Who answered.
    pub backend: String,
    pub status: u16,
    /// When it says it may be asked again.
    pub after: Option<Duration>,
}

/// What an attempt sends.
#[derive(Clone, Debug, PartialEq)]
pub enum Again {
    /// The request as it stands.
    Same,
    /// Another one. `head` is what is changed in the request that the attempt before has sent.
    Anew { head: Edits, body: Bytes },
    /// Nothing: the attempt is answered with this.
    Not(Local),
}
