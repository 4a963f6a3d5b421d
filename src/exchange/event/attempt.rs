//! The words about one attempt of the proxy's to send a request that has left here.

use std::time::Duration;

use bytes::Bytes;

use super::{Edits, Local};

/// One attempt of the proxy's to send a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The first is 1.
    pub number: u32,
    /// The name of the backend.
    pub backend: String,
    /// What became of the attempt before; none where there was none, or nobody knows.
    pub before: Option<Failed>,
}

/// What became of an attempt that did not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// There was no answer: no connection, a reset, or too much time.
    Unanswered,
    /// The provider's status, and when it says it may be asked again.
    Answered(u16, Option<Duration>),
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
