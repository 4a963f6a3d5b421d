//! The reading half of an HTTP/1.1 client: bytes in, a [`Response`] filled as far as they go. No I/O.

use std::time::Duration;

use super::response::Response;

/// Fill `response` by [`Parser::push`]; end it by [`Parser::close`].
pub struct Parser {
    pub response: Response,
    /// An answer to HEAD has no body whatever its headers say.
    to_head: bool,
    state: State,
    /// What has come of a line or head that is not complete.
    held: Vec<u8>,
}

enum State {
    Head,
    /// So many bytes are still to come.
    Length(usize),
    ChunkSize,
    Chunk(usize),
    /// The line end after a chunk's bytes.
    ChunkEnd,
    Trailers,
    /// Up to the end of the connection; also what follows a 101.
    Rest,
    Done,
}

// === impl Parser ===

impl Parser {
    pub fn new(to_head: bool) -> Self {
        Self { response: Response::default(), to_head, state: State::Head, held: Vec::new() }
    }

    /// Whether nothing more can come.
    pub fn over(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes the bytes of one read, which came at `at`.
    pub fn push(&mut self, at: Duration, bytes: &[u8]) {
        let mut left = bytes;
        while !left.is_empty() && !self.over() {
            let taken = self.step(at, left);
            match taken {
                Ok(length) => left = &left[length..],
                Err(what) => self.fail(what),
            }
        }
        if !left.is_empty() && self.response.fault.is_none() {
            let extra = String::from_utf8_lossy(left).into_owned();
            self.response.complete = false;
            self.response.fault = Some(format!("bytes after the end of the answer: {extra:?}"));
        }
    }

    /// The connection has ended: cleanly, or by `error`.
    pub fn close(&mut self, error: Option<String>) {
        let early = match (&self.state, &error) {
            (State::Done, _) => return,
            (State::Rest, None) => return self.finish(),
            _ => error.unwrap_or_else(|| "the connection ended before the answer did".into()),
        };
        self.fail(early);
    }

    /// How many bytes of `bytes` (not empty) were used.
    fn step(&mut self, at: Duration, bytes: &[u8]) -> Result<usize, String> {
        match self.state {
            State::Length(want) | State::Chunk(want) => {
                let length = want.min(bytes.len());
                self.response.receive(at, &bytes[..length]);
                self.state = match self.state {
                    State::Length(_) => State::Length(want - length),
                    _ if want == length => State::ChunkEnd,
                    _ => State::Chunk(want - length),
                };
                if matches!(self.state, State::Length(0)) {
                    self.finish();
                }
                Ok(length)
            }
            State::Rest => {
                self.response.receive(at, bytes);
                Ok(bytes.len())
            }
            State::Head | State::Trailers | State::ChunkSize | State::ChunkEnd => {
                self.held.push(bytes[0]);
                if self.held.ends_with(b"\r\n") {
                    self.line()?;
                }
                Ok(1)
            }
            State::Done => Ok(0),
        }
    }

    /// A line has come; a head and trailers are held until their empty line.
    fn line(&mut self) -> Result<(), String> {
        let block = matches!(self.state, State::Head | State::Trailers);
        if block && self.held != b"\r\n" && !self.held.ends_with(b"\r\n\r\n") {
            return Ok(());
        }
        let held = std::mem::take(&mut self.held);
        let text = String::from_utf8(held).map_err(|_| "a head that is not UTF-8".to_owned())?;
        match self.state {
            State::Head => self.head(&text),
            State::Trailers => {
                self.response.trailers = fields(text.lines())?;
                self.finish();
                Ok(())
            }
            State::ChunkSize => {
                let size = text.trim_end().split(';').next().unwrap_or_default();
                let size = usize::from_str_radix(size, 16).map_err(|_| format!("no chunk size: {text:?}"))?;
                self.state = if size == 0 { State::Trailers } else { State::Chunk(size) };
                Ok(())
            }
            _ if text == "\r\n" => {
                self.state = State::ChunkSize;
                Ok(())
            }
            _ => Err(format!("a chunk longer than its size says: {text:?}")),
        }
    }

    fn head(&mut self, text: &str) -> Result<(), String> {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.1 ").or(first.strip_prefix("HTTP/1.0 "));
        let status = status.and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
        let status = status.ok_or_else(|| format!("no status line: {first:?}"))?;
        if status < 200 && status != 101 {
            self.response.interim.push(status);
            return Ok(());
        }
        self.response.status = status;
        self.response.headers = fields(lines)?;
        self.state = self.framing()?;
        if matches!(self.state, State::Length(0)) {
            self.finish();
        }
        Ok(())
    }

    /// How the body ends (RFC 9112, section 6.3).
    fn framing(&self) -> Result<State, String> {
        let response = &self.response;
        if self.to_head || matches!(response.status, 204 | 304) {
            return Ok(State::Length(0));
        }
        if response.status == 101 {
            return Ok(State::Rest);
        }
        match (response.header("transfer-encoding"), response.header("content-length")) {
            (Some("chunked"), None) => Ok(State::ChunkSize),
            (None, Some(length)) => {
                length.parse().map(State::Length).map_err(|_| format!("no content-length: {length:?}"))
            }
            (None, None) => Ok(State::Rest),
            other => Err(format!("a framing that no server should send: {other:?}")),
        }
    }

    fn finish(&mut self) {
        self.state = State::Done;
        self.response.complete = true;
    }

    fn fail(&mut self, what: String) {
        self.state = State::Done;
        self.response.complete = false;
        self.response.fault.get_or_insert(what);
    }
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<(String, String)>, String> {
    let lines = lines.filter(|line| !line.is_empty());
    let pairs = lines.map(|line| {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("no header: {line:?}"))?;
        Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    pairs.collect()
}

mod tests {
    use super::super::split;
    use super::*;

    fn read(pieces: &[&[u8]], close: Option<Option<&str>>) -> Response {
        let mut parser = Parser::new(false);
        for piece in pieces {
            parser.push(Duration::ZERO, piece);
        }
        if let Some(error) = close {
            parser.close(error.map(str::to_owned));
        }
        // How the body was cut is what the splits below vary.
        Response { chunks: Vec::new(), ..parser.response }
    }

    const CHUNKED: &[u8] =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n\
        5;x=y\r\nhello\r\nA\r\n, wor\r\nld\n\r\n0\r\nX-Sum: 7\r\nX-More: \r\n\r\n";

    #[test]
    fn a_chunked_answer_may_be_split_anywhere() {
        let whole = read(&[CHUNKED], None);
        assert!(whole.complete, "{whole:?}");
        assert_eq!((whole.status, &whole.interim[..]), (200, &[100][..]));
        assert_eq!(whole.text(), "hello, wor\r\nld\n");
        assert_eq!(whole.trailers, [("x-sum".into(), "7".into()), ("x-more".into(), String::new())]);
        for pieces in split::two(CHUNKED) {
            assert_eq!(read(&pieces, None), whole, "{pieces:?}");
        }
        for pieces in split::three(CHUNKED) {
            assert_eq!(read(&pieces, None), whole, "{pieces:?}");
        }
    }

    #[test]
    fn every_early_end_is_incomplete() {
        for length in 0..CHUNKED.len() {
            let cut = read(&[&CHUNKED[..length]], Some(None));
            assert!(!cut.complete && cut.fault.is_some(), "{length}: {cut:?}");
        }
    }

    #[test]
    fn the_framing_decides_what_complete_means() {
        let rows: &[(&str, bool, &str)] = &[
            ("content-length: 2\r\n\r\nab", true, "ab"),
            ("content-length: 3\r\n\r\nab", false, "ab"),
            ("content-length: 1\r\n\r\nab", false, "a"),
            ("content-length: 0\r\n\r\n", true, ""),
            ("\r\nab", true, "ab"),
            ("content-length: 2\r\ntransfer-encoding: chunked\r\n\r\nab", false, ""),
            ("transfer-encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n", false, "a"),
            ("transfer-encoding: chunked\r\n\r\nx\r\n", false, ""),
        ];
        for (rest, complete, body) in rows {
            let response = read(&[format!("HTTP/1.1 200 OK\r\n{rest}").as_bytes()], Some(None));
            assert_eq!((response.complete, response.text().as_str()), (*complete, *body), "{rest:?}: {response:?}");
        }
        assert!(!read(&[b"HTTP/1.1 200 OK\r\n\r\nab"], Some(Some("reset"))).complete);
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let mut parser = Parser::new(true);
        parser.push(Duration::ZERO, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
        assert!(parser.response.complete);
    }
}
