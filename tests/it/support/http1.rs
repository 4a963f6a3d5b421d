//! A raw HTTP/1.1 client: the test decides every byte and when it is sent, and sees what came and
//! when. One request a connection.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::http1_parse::Parser;
use super::response::Response;

/// How long a client waits for the next bytes before it gives up; far above every wait of the product.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Connection {
    stream: TcpStream,
    parser: Parser,
    /// Arrival times count from here.
    began: Instant,
}

/// A request head, and the body with its framing.
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
}

// === impl Request ===

impl Request<'_> {
    /// The head and nothing more: `host` and `connection: close` are added, a framing header is not.
    pub fn head(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text.push_str("host: test\r\n");
        }
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
            text.push_str("connection: close\r\n");
        }
        for (name, value) in self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    /// With a body of stated length.
    pub fn with_length(&self, body: &[u8]) -> Vec<u8> {
        let length = body.len().to_string();
        self.framed(("content-length", &length), body)
    }

    /// With a chunked body, a chunk a piece (an empty piece is left out), and trailers.
    pub fn chunked(&self, pieces: &[&[u8]], trailers: &[(&str, &str)]) -> Vec<u8> {
        let mut body = Vec::new();
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            body.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            body.extend_from_slice(piece);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"0\r\n");
        for (name, value) in trailers {
            body.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        body.extend_from_slice(b"\r\n");
        self.framed(("transfer-encoding", "chunked"), &body)
    }

    fn framed(&self, framing: (&str, &str), body: &[u8]) -> Vec<u8> {
        let headers = [self.headers, &[framing]].concat();
        let mut bytes = Request { headers: &headers, ..*self }.head();
        bytes.extend_from_slice(body);
        bytes
    }
}

// === impl Connection ===

impl Connection {
    /// Connects to `address` (`host:port`); every write leaves at once. `method` decides whether an
    /// answer has a body.
    pub async fn open(address: &str, method: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, parser: Parser::new(method == "HEAD"), began: Instant::now() })
    }

    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends each piece by a write of its own with a pause before the next, so that the other side
    /// reads them one by one.
    pub async fn send_pieces(&mut self, pieces: &[&[u8]], pause: Duration) -> io::Result<()> {
        for piece in pieces {
            self.send(piece).await?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// Says that no more bytes will be sent.
    pub async fn finish_sending(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// What has been read so far.
    pub fn so_far(&self) -> &Response {
        &self.parser.response
    }

    /// Reads until `enough` says so, the answer is over, or the connection has ended.
    pub async fn read_until(&mut self, enough: impl Fn(&Response) -> bool) -> &Response {
        let mut buffer = vec![0; 64 * 1024];
        while !self.parser.over() && !enough(&self.parser.response) {
            match timeout(PATIENCE, self.stream.read(&mut buffer)).await {
                Ok(Ok(0)) => self.parser.close(None),
                Ok(Ok(length)) => self.parser.push(self.began.elapsed(), &buffer[..length]),
                Ok(Err(error)) => self.parser.close(Some(error.to_string())),
                Err(_) => self.parser.close(Some(format!("no byte for {} s", PATIENCE.as_secs()))),
            }
        }
        &self.parser.response
    }

    /// Reads until `100 Continue` or another interim or final answer has come.
    pub async fn read_interim(&mut self) -> &Response {
        self.read_until(|response| !response.interim.is_empty() || response.status != 0).await
    }

    /// Reads until the final head has come.
    pub async fn read_head(&mut self) -> &Response {
        self.read_until(|response| response.status != 0).await
    }

    /// Reads until at least `length` bytes of the body have come; more may have.
    pub async fn read_body(&mut self, length: usize) -> &Response {
        self.read_until(|response| response.body.len() >= length).await
    }

    /// Reads to the end.
    pub async fn finish(mut self) -> Response {
        self.read_until(|_| false).await;
        self.parser.response
    }

    /// Ends the connection by a reset, as a client that is killed does, and gives what it had read.
    pub fn abort(self) -> Response {
        // Linger of zero makes the close a RST.
        self.stream.set_zero_linger().expect("linger of an open socket");
        self.parser.response
    }
}

/// Sends one request in one write and reads the whole answer.
pub async fn exchange(address: &str, method: &str, bytes: &[u8]) -> io::Result<Response> {
    let mut connection = Connection::open(address, method).await?;
    // An early answer may close the connection while the request is still being sent; the answer counts.
    let sent = connection.send(bytes).await;
    let response = connection.finish().await;
    if response.status == 0 {
        sent?;
    }
    Ok(response)
}

mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server for one connection: reads `wanted` bytes, then sends `answer`, then closes; it gives
    /// what it had read and whether the client ended by a reset.
    async fn serve(
        wanted: usize,
        answer: &'static [&'static [u8]],
    ) -> (String, tokio::task::JoinHandle<(Vec<u8>, bool)>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut read = vec![0; wanted];
            stream.read_exact(&mut read).await.expect("the request");
            for piece in answer {
                stream.write_all(piece).await.expect("the client reads");
            }
            stream.shutdown().await.expect("the client reads");
            let reset = stream.read_to_end(&mut read).await.is_err();
            (read, reset)
        });
        (address, task)
    }

    #[tokio::test]
    async fn pieces_arrive_in_order_and_the_answer_is_read_to_its_end() {
        let request = Request { method: "POST", path: "/a", headers: &[("x-a", "b")] };
        let bytes = request.chunked(&[b"hel", b"", b"lo"], &[("x-sum", "1")]);
        let (address, server) = serve(bytes.len(), &[b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", b"k"]).await;
        let mut connection = Connection::open(&address, "POST").await.expect("connects");
        connection.send_pieces(&[&bytes[..10], &bytes[10..]], Duration::from_millis(1)).await.expect("sends");
        let response = connection.finish().await;
        assert!(response.complete, "{response:?}");
        assert_eq!(response.text(), "ok");
        let expected = "POST /a HTTP/1.1\r\nhost: test\r\nconnection: close\r\nx-a: b\r\ntransfer-encoding: chunked\r\n\r\n\
            3\r\nhel\r\n2\r\nlo\r\n0\r\nx-sum: 1\r\n\r\n";
        assert_eq!(String::from_utf8(server.await.expect("served").0).expect("UTF-8"), expected);
    }

    #[tokio::test]
    async fn a_continue_is_seen_before_the_body_is_sent() {
        let request =
            Request { method: "POST", path: "/", headers: &[("expect", "100-continue"), ("content-length", "1")] };
        let head = request.head();
        let (address, server) =
            serve(head.len(), &[b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 No\r\n\r\n"]).await;
        let mut connection = Connection::open(&address, "POST").await.expect("connects");
        connection.send(&head).await.expect("sends");
        assert_eq!(connection.read_interim().await.interim, [100]);
        connection.send(b"x").await.expect("sends");
        connection.finish_sending().await.expect("shuts");
        let response = connection.finish().await;
        assert_eq!((response.status, response.complete), (204, true));
        assert!(server.await.expect("served").0.ends_with(b"x"));
    }

    #[tokio::test]
    async fn an_early_close_is_incomplete_and_an_abort_is_a_reset() {
        let request = Request { method: "GET", path: "/", headers: &[] }.head();
        let (address, _server) = serve(request.len(), &[b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"]).await;
        let response = exchange(&address, "GET", &request).await.expect("exchanges");
        assert_eq!((response.complete, response.text().as_str()), (false, "abc"));

        let (address, server) =
            serve(request.len(), &[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n"]).await;
        let mut connection = Connection::open(&address, "GET").await.expect("connects");
        connection.send(&request).await.expect("sends");
        assert_eq!(connection.read_head().await.status, 200);
        assert_eq!(connection.read_body(2).await.body, b"ab");
        assert_eq!(connection.abort().body, b"ab");
        assert!(server.await.expect("served").1, "the server saw no reset");
    }
}
