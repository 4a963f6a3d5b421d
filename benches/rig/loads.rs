//! What is sent: requests as bytes.

use std::fmt::Write;

use super::stand::Row;

/// Sentences that a tokenizer and a JSON reader find nothing special in, but for the line break.
const TEXT: &str = "The weir holds the river back and lets pass what the fields below it need.\\n";

/// The body of a chat call of exactly `size` bytes, to the alias of the configuration.
pub fn chat(size: usize, more: &str) -> String {
    let mut body = format!(r#"{{"model":"fast",{more}"messages":[{{"role":"system","content":"Be brief."}}"#);
    const MESSAGE: usize = 8 * 1024;
    const END: &str = "]}";
    loop {
        let open = r#",{"role":"user","content":""#;
        let close = r#""}"#;
        let room = size - body.len() - END.len() - open.len() - close.len();
        // The last message takes the rest, so that none is too small for its own frame.
        let length = if room < 2 * MESSAGE { room } else { MESSAGE };
        let text = TEXT.repeat(length / TEXT.len());
        let _ = write!(body, "{open}{text}{}{close}", "x".repeat(length - text.len()));
        if length == room {
            body.push_str(END);
            return body;
        }
    }
}

/// A whole HTTP/1.1 request. `Row::Pass` gets a content type that is not one of a call, and `Row::Miss` wants no answer
/// from memory.
pub fn request(row: Row, headers: &str, body: &str) -> Vec<u8> {
    let kind = if row == Row::Pass { "text/plain" } else { "application/json" };
    let wish = if row == Row::Miss { "x-weir-cache: refresh\r\n" } else { "" };
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: llm.internal\r\nuser-agent: bench\r\naccept: */*\r\n\
         authorization: Bearer any\r\ncontent-type: {kind}\r\n{wish}{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
