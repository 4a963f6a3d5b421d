//! [io] The processes that serve one proxy at the same time, because one still ends its calls while its successor takes
//! the new ones. The proxy keeps its connections for attempts to the one and opens others to the other, and neither it
//! nor its configuration knows which process holds a call: so an attempt is heard by whichever it reaches, and passed on
//! to the one that the call's id names.
//!
//! ```text
//! extproc.sock                             calls: of the last process that started
//! extproc-attempt.sock                     attempts: a link to that process's own socket
//! extproc-attempt-0123456789abcdef.sock    attempts: of the process with this number, until it has ended
//! ```
//!
//! What is passed on is the question and its answer as they are on the wire. All of it stays in one directory, whose
//! permissions decide who reads keys; so nobody is reached here who could not read them anyway.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use tokio::net::UnixListener;
use tokio_stream::StreamExt;
use tonic::client::Grpc;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::put;
use super::server::{ATTEMPT, BACKEND, CONNECTION_WINDOW, ROLE, STREAM_WINDOW};
use super::service::{MAX_MESSAGE, PATH};
use crate::base::socket;
use crate::render::attempt;

/// The metadata of a stream that was passed on already: whoever gets it answers it.
pub(super) const PASSED_ON: &str = "x-weir-passed-on";

/// The longest path of a socket that can be connected to: the kernel's limit is 108 bytes with the zero at its end.
const LONGEST: usize = 107;

/// A process among those that serve the same proxy.
#[derive(Debug)]
pub struct Siblings {
    /// Where the proxy reaches one of them.
    shared: PathBuf,
    /// What names this process in the ids of its exchanges, and its own socket.
    process: u64,
    /// The way to the one that was asked last. There are seldom more than two.
    last: Mutex<Option<(u64, Channel)>>,
}

/// Messages as they are on the wire.
#[derive(Clone, Copy, Debug, Default)]
struct Raw;

// === impl Siblings ===

impl Siblings {
    /// Opens this process's own socket beside `ext_proc`, with these permission bits, and removes those that processes
    /// which were killed have left. The proxy does not reach it before [`take_over`](Siblings::take_over).
    ///
    /// # Errors
    /// Which socket could not be opened, and why.
    pub async fn open(ext_proc: &Path, mode: u32) -> Result<(UnixListener, Siblings), (PathBuf, io::Error)> {
        let process = RandomState::new().hash_one(std::process::id());
        let siblings = Siblings { shared: attempt::socket(ext_proc), process, last: Mutex::new(None) };
        if let Some(directory) = siblings.shared.parent() {
            socket::sweep(directory, |name| siblings.is_own_of_one(name)).await;
        }
        let own = siblings.own(process);
        if own.as_os_str().len() > LONGEST {
            let why = "the path is longer than the 107 bytes that one may have; choose a shorter listen.extProc";
            return Err((own, io::Error::new(io::ErrorKind::InvalidInput, why)));
        }
        match socket::bind(&own, mode).await {
            Ok(listener) => Ok((listener, siblings)),
            Err(error) => Err((own, error)),
        }
    }

    /// From here on new connections of the proxy come to this process.
    ///
    /// # Errors
    /// Which name could not be led to its socket, and why.
    pub fn take_over(&self) -> Result<(), (PathBuf, io::Error)> {
        socket::lead(&self.shared, &self.name(self.process)).map_err(|error| (self.shared.clone(), error))
    }

    /// This process serves no more. The shared name stays: it is the successor's by now, or leads nowhere.
    pub fn leave(&self) {
        // Whoever starts next removes what could not be removed.
        let _ = std::fs::remove_file(self.own(self.process));
    }

    /// What names this process in the ids of its exchanges.
    pub fn process(&self) -> u64 {
        self.process
    }

    /// The other process that holds the exchange of this id; none where the id names none.
    pub(super) fn holder(&self, exchange: &str) -> Option<u64> {
        let digits = exchange.get(..16).filter(|_| exchange.len() == 32)?;
        number(digits).filter(|process| *process != self.process)
    }

    /// What `process` answers to the attempt of the filter in the cluster of `backend`, of which `metadata` says the
    /// rest: a `ProcessingResponse`, still encoded. None where it is not there or does not answer. It takes as long as
    /// that one takes; whoever asks gives up before.
    pub(super) async fn ask(&self, process: u64, backend: &str, metadata: &[u8]) -> Option<Bytes> {
        let channel = self.channel(process)?;
        match ask(channel, backend, metadata).await {
            Ok(answer) => answer,
            Err(status) => {
                tracing::debug!("process {process:016x} did not answer for an attempt: {}", status.code());
                None
            }
        }
    }

    fn channel(&self, process: u64) -> Option<Channel> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, channel)) = last.as_ref().filter(|(of, _)| *of == process) {
            return Some(channel.clone());
        }
        let own = self.own(process);
        let endpoint = Endpoint::from_shared(format!("unix:{}", own.to_str()?)).ok()?;
        let endpoint = endpoint.initial_stream_window_size(STREAM_WINDOW);
        let channel = endpoint.initial_connection_window_size(CONNECTION_WINDOW).connect_lazy();
        *last = Some((process, channel.clone()));
        Some(channel)
    }

    /// The socket of one of them alone.
    fn own(&self, process: u64) -> PathBuf {
        self.shared.with_file_name(self.name(process))
    }

    fn name(&self, process: u64) -> String {
        let (begin, end) = self.around();
        format!("{begin}{process:016x}{end}")
    }

    fn is_own_of_one(&self, name: &str) -> bool {
        let (begin, end) = self.around();
        let digits = name.strip_prefix(&*begin).and_then(|rest| rest.strip_suffix(&*end));
        digits.is_some_and(|digits| number(digits).is_some())
    }

    /// What stands around the number in the name of a socket.
    fn around(&self) -> (String, String) {
        let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let end = self.shared.extension().map_or_else(String::new, |_| format!(".{}", text(self.shared.extension())));
        (format!("{}-", text(self.shared.file_stem())), end)
    }
}

/// 16 digits as they stand in names.
fn number(digits: &str) -> Option<u64> {
    let is_one = digits.len() == 16 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_one { u64::from_str_radix(digits, 16).ok() } else { None }
}

async fn ask(channel: Channel, backend: &str, metadata: &[u8]) -> Result<Option<Bytes>, Status> {
    // A head without fields, and what goes with it: `ProcessingRequest` in `extproc::incoming`.
    let mut message = Vec::with_capacity(2 + put::delimited(metadata.len()));
    put::key(2, 0, &mut message);
    put::bytes(8, metadata, &mut message);
    let backend =
        AsciiMetadataValue::try_from(backend).map_err(|_| Status::invalid_argument("no name of a backend"))?;
    // What ends has given up.
    let messages = tokio_stream::once(Bytes::from(message)).chain(tokio_stream::pending());
    let mut request = Request::new(messages);
    request.metadata_mut().insert(ROLE, AsciiMetadataValue::from_static(ATTEMPT));
    request.metadata_mut().insert(PASSED_ON, AsciiMetadataValue::from_static("1"));
    request.metadata_mut().insert(BACKEND, backend);
    let mut client = Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    client.streaming(request, PathAndQuery::from_static(PATH), Raw).await?.into_inner().message().await
}

// === impl Raw ===

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.len());
        buffer.put(message);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_holder_of_an_exchange_is_another_process_that_its_id_names() {
        let dir = tempfile::tempdir().unwrap();
        let (_listener, siblings) = Siblings::open(&dir.path().join("extproc.sock"), 0o600).await.unwrap();
        let own = siblings.process();
        assert_eq!(siblings.holder(&format!("{own:016x}0123456789abcdef")), None);
        let other = own ^ 0xff;
        assert_eq!(siblings.holder(&format!("{other:016x}0123456789abcdef")), Some(other));
        for strange in ["", "a1", "../../../../etc/0123456789abcdef", &format!("{other:016X}/../"), &"é".repeat(16)] {
            assert_eq!(siblings.holder(strange), None, "{strange}");
        }
    }

    #[tokio::test]
    async fn the_shared_name_leads_to_whoever_took_over_last_and_each_removes_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let ext_proc = dir.path().join("extproc.sock");
        let (first, of_first) = Siblings::open(&ext_proc, 0o600).await.unwrap();
        of_first.take_over().unwrap();
        let (second, of_second) = Siblings::open(&ext_proc, 0o600).await.unwrap();
        let shared = dir.path().join("extproc-attempt.sock");
        let connect = || tokio::net::UnixStream::connect(&shared);
        // Opened is not taken over.
        let (_, connected) = tokio::join!(first.accept(), connect());
        connected.unwrap();
        of_second.take_over().unwrap();
        of_first.leave();
        drop(first);
        let (_, connected) = tokio::join!(second.accept(), connect());
        connected.unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[tokio::test]
    async fn a_path_that_nobody_could_connect_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let name = "x".repeat(LONGEST + 1 - "-attempt-0123456789abcdef".len() - 1 - dir.path().as_os_str().len());
        let (path, error) = Siblings::open(&dir.path().join(&name), 0o600).await.unwrap_err();
        assert_eq!((path.as_os_str().len(), error.kind()), (LONGEST + 1, io::ErrorKind::InvalidInput));
        Siblings::open(&dir.path().join(&name[1..]), 0o600).await.unwrap();
    }

    #[tokio::test]
    async fn what_a_killed_process_left_goes_when_the_next_one_opens() {
        let dir = tempfile::tempdir().unwrap();
        let ext_proc = dir.path().join("extproc.sock");
        let (killed, siblings) = Siblings::open(&ext_proc, 0o600).await.unwrap();
        drop(killed);
        let (_listener, next) = Siblings::open(&ext_proc, 0o600).await.unwrap();
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [std::ffi::OsString::from(next.name(next.process()))]);
        assert_eq!(next.ask(siblings.process(), "one", b"").await, None);
    }
}
