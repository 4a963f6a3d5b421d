//! The request that is asked about: a body alone, or the text of a whole HTTP/1.1 request.

use bytes::Bytes;

use super::{Args, ExplainError};
use crate::exchange::event::{Headers, RequestHead};

/// A request that nobody sends.
pub struct Request {
    pub head: RequestHead,
    /// None for a request without one.
    pub body: Option<Bytes>,
}

const CHAT: &str = "/v1/chat/completions";
/// What a proxy takes out, or writes itself.
const HOP_BY_HOP: &[&str] =
    &["host", "content-length", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"];

/// Reads a request, with what the command line says of it.
///
/// # Errors
/// What is no request.
pub fn read(text: &[u8], args: &Args) -> Result<Request, ExplainError> {
    let is_body = text.trim_ascii_start().first().is_none_or(|first| matches!(first, b'{' | b'['));
    let mut request = if is_body { bare(text) } else { whole(text)? };
    for header in &args.headers {
        let (name, value) = field(header).ok_or_else(|| question(format!("--header {header:?} is not NAME: VALUE")))?;
        request.head.headers.push(&name, value.as_bytes());
    }
    if let Some(path) = &args.path_of_request {
        request.head.path.clone_from(path);
    }
    if let Some(method) = &args.method {
        request.head.method = method.to_ascii_uppercase();
    } else if is_body && request.body.is_none() {
        request.head.method = "GET".to_owned();
    }
    if request.body.is_none() && args.path_of_request.is_none() && is_body {
        return Err(question("standard input has no request: give a JSON body, a whole request, or --path".to_owned()));
    }
    Ok(request)
}

/// A path for the command line.
pub fn path(text: &str) -> Result<String, String> {
    match text.starts_with('/') && !text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        true => Ok(text.to_owned()),
        false => Err("a path begins with / and has no white space".to_owned()),
    }
}

/// A body without its last line break, which is the shell's.
fn bare(text: &[u8]) -> Request {
    let body = without_last_break(text);
    let mut headers = Headers::default();
    headers.push("content-type", b"application/json");
    let head = RequestHead {
        method: "POST".to_owned(),
        path: CHAT.to_owned(),
        authority: "localhost".to_owned(),
        headers,
        ..RequestHead::default()
    };
    Request { head, body: (!body.is_empty()).then(|| Bytes::copy_from_slice(body)) }
}

fn whole(text: &[u8]) -> Result<Request, ExplainError> {
    let (line, mut rest) = next_line(text).ok_or_else(|| question("the request ends in its first line".to_owned()))?;
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let (Some(method), Some(target), Some("HTTP/1.1" | "HTTP/1.0" | "HTTP/2"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(question(format!(
            "standard input is neither JSON nor a request: its first line is to be like `POST {CHAT} HTTP/1.1`"
        )));
    };
    let target = path(target).map_err(|why| question(format!("the path of the request: {why}")))?;
    let mut head = RequestHead { method: method.to_owned(), path: target, ..RequestHead::default() };
    let (mut length, mut ended) = (None, false);
    while let Some((line, after)) = next_line(rest) {
        rest = after;
        if line.is_empty() {
            ended = true;
            break;
        }
        let (name, value) = field(&line).ok_or_else(|| question(format!("the line {line:?} is no header")))?;
        match name.as_str() {
            "host" => head.authority.clone_from(&value),
            "content-length" => {
                let parsed = value.parse::<usize>().map_err(|_| question("content-length is no number".to_owned()))?;
                length = Some(parsed);
            }
            "transfer-encoding" => return Err(question("a chunked body is not read here: give it whole".to_owned())),
            _ => {}
        }
        if !HOP_BY_HOP.contains(&name.as_str()) {
            head.headers.push(&name, value.as_bytes());
        }
    }
    if !ended && !rest.is_empty() {
        return Err(question("the headers are not followed by an empty line".to_owned()));
    }
    let body = match length {
        Some(length) => rest
            .get(..length)
            .ok_or_else(|| question(format!("content-length says {length}, and the body has {} bytes", rest.len())))?,
        None => without_last_break(rest),
    };
    Ok(Request { head, body: (!body.is_empty()).then(|| Bytes::copy_from_slice(body)) })
}

/// A line of a head and what follows it.
fn next_line(text: &[u8]) -> Option<(String, &[u8])> {
    let at = text.iter().position(|byte| *byte == b'\n')?;
    let line = text.get(..at)?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Some((String::from_utf8_lossy(line).into_owned(), text.get(at + 1..)?))
}

fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let name = http::HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
    let value = http::HeaderValue::from_str(value.trim()).ok()?;
    Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
}

fn without_last_break(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

fn question(text: String) -> ExplainError {
    ExplainError::Question(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole_text(text: &str) -> Result<(RequestHead, String), String> {
        let request = whole(text.as_bytes()).map_err(|error| error.to_string())?;
        let body = request.body.unwrap_or_default();
        Ok((request.head, String::from_utf8_lossy(&body).into_owned()))
    }

    #[test]
    fn a_whole_request_is_read_as_a_proxy_would() {
        let text =
            "POST /v1/embeddings HTTP/1.1\r\nHost: llm.internal\r\nX-Tier:  gold \r\nContent-Length: 2\r\n\r\n{}\n";
        let (head, body) = whole_text(text).unwrap();
        assert_eq!(
            (&*head.method, &*head.path, &*head.authority, &*body),
            ("POST", "/v1/embeddings", "llm.internal", "{}")
        );
        assert_eq!(head.headers.iter().collect::<Vec<_>>(), [("x-tier", &b"gold"[..])]);
        // Line breaks of a shell, and no body.
        let (head, body) = whole_text("GET /v1/models HTTP/1.1\nhost: a\n\n").unwrap();
        assert_eq!((&*head.path, &*body), ("/v1/models", ""));
        let (_, body) = whole_text("POST /x HTTP/1.1\n\n{\"a\": 1}\n").unwrap();
        assert_eq!(body, "{\"a\": 1}");
    }

    #[test]
    fn what_is_no_request_says_what_is_wrong_with_it() {
        for (text, why) in [
            ("hello", "ends in its first line"),
            ("hello world\n", "neither JSON nor a request"),
            ("POST / HTTP/1.1 x\n\n", "neither JSON nor a request"),
            ("POST v1 HTTP/1.1\n\n", "begins with /"),
            ("POST / HTTP/1.1\nno header\n\n", "is no header"),
            ("POST / HTTP/1.1\nbad name: 1\n\n", "is no header"),
            ("POST / HTTP/1.1\ncontent-length: 9\n\n{}", "has 2 bytes"),
            ("POST / HTTP/1.1\ntransfer-encoding: chunked\n\n", "chunked"),
            ("POST / HTTP/1.1\nhost: a\n{}", "empty line"),
        ] {
            let error = whole_text(text).unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }
}
