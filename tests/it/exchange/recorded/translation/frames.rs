//! Messages of `application/vnd.amazon.eventstream`, written and read for the tests alone: the prelude (length of the
//! message, length of the headers), its CRC-32, the headers, the payload, the CRC-32 of all of it. Numbers are
//! big-endian (<https://smithy.io/2.0/aws/amazon-eventstream.html>).

use serde_json::Value;

/// A header whose value is a string.
const STRING: u8 = 7;

/// An event of this type.
pub fn frame(kind: &str, payload: &str) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")] {
        headers.push(u8::try_from(name.len()).expect("a short name"));
        headers.extend_from_slice(name.as_bytes());
        headers.push(STRING);
        headers.extend_from_slice(&u16::try_from(value.len()).expect("a short value").to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let length = |bytes: usize| u32::try_from(bytes).expect("a small message").to_be_bytes();
    let mut out = [length(16 + headers.len() + payload.len()), length(headers.len())].concat();
    out.extend_from_slice(&crc(&out).to_be_bytes());
    out.extend_from_slice(&headers);
    out.extend_from_slice(payload.as_bytes());
    out.extend_from_slice(&crc(&out).to_be_bytes());
    out
}

/// The types and payloads of a whole stream.
///
/// # Errors
/// A length or a checksum that is not right, a header of another type, a payload that is no JSON.
pub fn read(mut stream: &[u8]) -> Result<Vec<(String, Value)>, String> {
    let mut out = Vec::new();
    while !stream.is_empty() {
        let number = |at: usize| -> Result<usize, String> {
            let four = stream.get(at..at + 4).ok_or("a frame is cut")?;
            Ok(u32::from_be_bytes(four.try_into().expect("four bytes")) as usize)
        };
        let (total, headers) = (number(0)?, number(4)?);
        let message = stream.get(..total).filter(|_| total >= 16 + headers).ok_or("a frame is cut")?;
        if number(8)? != crc(&message[..8]) as usize || number(total - 4)? != crc(&message[..total - 4]) as usize {
            return Err("a checksum is wrong".to_owned());
        }
        let kind = kind(&message[12..12 + headers])?;
        let payload = serde_json::from_slice(&message[12 + headers..total - 4]).map_err(|error| error.to_string())?;
        out.push((kind, payload));
        stream = &stream[total..];
    }
    Ok(out)
}

/// The value of the header that says what a message is.
fn kind(mut headers: &[u8]) -> Result<String, String> {
    let mut kind = None;
    while let Some((length, rest)) = headers.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(*length)).ok_or("a header is cut")?;
        let [STRING, high, low, rest @ ..] = rest else { return Err("a header is no string".to_owned()) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(length).ok_or("a header is cut")?;
        if matches!(name, b":event-type" | b":exception-type") {
            kind = Some(String::from_utf8_lossy(value).into_owned());
        }
        headers = rest;
    }
    kind.ok_or_else(|| "a message without a type".to_owned())
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[test]
fn what_is_written_is_read_and_what_is_spoilt_is_not() {
    let stream = [frame("messageStart", r#"{"role":"assistant"}"#), frame("messageStop", "{}")].concat();
    let read_back = read(&stream).expect("whole frames");
    assert_eq!(read_back.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), ["messageStart", "messageStop"]);
    for at in 0..stream.len() {
        let mut spoilt = stream.clone();
        spoilt[at] ^= 1;
        assert!(read(&spoilt).is_err(), "byte {at}");
    }
    assert!(read(&stream[..stream.len() - 1]).is_err());
}
