//! Messages of `application/vnd.amazon.eventstream`, as a service of AWS writes them: the prelude (length of
//! the message, length of the headers), its CRC-32, the headers, the payload, the CRC-32 of all of it. Numbers
//! are big-endian, the CRC is gzip's. Layout: <https://docs.aws.amazon.com/lexv2/latest/dg/event-stream-encoding.html>;
//! the reserved headers: <https://smithy.io/2.0/aws/amazon-eventstream.html>.

/// Type 7 of a header's value: a string with its length in two bytes.
const STRING: u8 = 7;

/// The two lengths and the two checksums.
const OVERHEAD: usize = 16;

/// An event named `kind` with a JSON payload.
pub(super) fn event(kind: &str, payload: &[u8]) -> Vec<u8> {
    frame(&[(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")], payload)
}

/// A modelled error named `kind` with a JSON payload: the last message of its stream.
pub(super) fn exception(kind: &str, payload: &[u8]) -> Vec<u8> {
    frame(&[(":exception-type", kind), (":content-type", "application/json"), (":message-type", "exception")], payload)
}

/// The same message with a checksum that is not its own.
pub(super) fn spoil(mut frame: Vec<u8>) -> Vec<u8> {
    if let Some(last) = frame.last_mut() {
        *last ^= 0xff;
    }
    frame
}

/// One message. Names are at most 255 bytes long and values at most 64 KiB; what is longer is cut there.
fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut block = Vec::with_capacity(96);
    for (name, value) in headers {
        let name = name.as_bytes();
        let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
        block.push(length);
        block.extend(name.iter().take(length.into()));
        block.push(STRING);
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        block.extend_from_slice(&length.to_be_bytes());
        block.extend(value.bytes().take(length.into()));
    }
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    let total = OVERHEAD + block.len() + payload.len();
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&length(total));
    out.extend_from_slice(&length(block.len()));
    out.extend_from_slice(&crc(&out).to_be_bytes());
    out.extend_from_slice(&block);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc(&out).to_be_bytes());
    out
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers, a payload, and the message they make.
    type Row = (&'static [(&'static str, &'static str)], &'static [u8], &'static [u8]);

    /// The messages that botocore's own tests decode (`tests/unit/test_eventstream.py`).
    #[test]
    fn the_published_messages_come_out_byte_for_byte() {
        let rows: &[Row] = &[
            (&[], b"", b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2H\xeb}\x98\xc8\xff"),
            (&[], b"{'foo':'bar'}", b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfdR\x8cZ{'foo':'bar'}\xc3e96"),
            (
                &[("content-type", "application/json")],
                b"{'foo':'bar'}",
                b"\x00\x00\x00=\x00\x00\x00 \x07\xfd\x83\x96\x0ccontent-type\x07\x00\x10application/json{'foo':'bar'}\x8d\x9c\x08\xb1",
            ),
            (
                &[(":message-type", "error"), (":error-code", "code"), (":error-message", "message")],
                b"",
                b"\x00\x00\x00\x52\x00\x00\x00\x42\xbf\x23\x63\x7e\x0d:message-type\x07\x00\x05error\x0b:error-code\x07\x00\x04code\x0e:error-message\x07\x00\x07message\x6b\x6c\xea\x3d",
            ),
        ];
        for (headers, payload, expected) in rows {
            assert_eq!(frame(headers, payload), *expected, "{headers:?}");
        }
    }

    #[test]
    fn a_spoilt_message_differs_in_its_checksum_only() {
        let (good, bad) = (event("messageStart", b"{}"), spoil(event("messageStart", b"{}")));
        assert_eq!(good.len(), bad.len());
        assert_eq!(good[..good.len() - 4], bad[..bad.len() - 4]);
        assert_ne!(good[good.len() - 4..], bad[bad.len() - 4..]);
    }
}
