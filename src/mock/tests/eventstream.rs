//! A reader of AWS's event stream for tests, written from its documentation and not from the mock's writer.

use serde_json::Value;

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    pub(super) headers: Vec<(String, String)>,
    pub(super) payload: Value,
    /// Both checksums are right.
    pub(super) sound: bool,
}

// === impl Message ===

impl Message {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The name of an event or of an exception.
    pub(super) fn kind(&self) -> &str {
        let kind = self.header(":event-type");
        if kind.is_empty() { self.header(":exception-type") } else { kind }
    }
}

/// CRC-32 bit by bit (RFC 1952, section 8).
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

/// The messages of a whole body.
pub(super) fn read(mut bytes: &[u8]) -> Vec<Message> {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let (total, headed) = (number(&bytes[..4]) as usize, number(&bytes[4..8]) as usize);
        let (message, rest) = bytes.split_at(total);
        let (body, sum) = message.split_at(total - 4);
        let sound = number(&message[8..12]) == crc(&message[..8]) && number(sum) == crc(body);
        let (mut block, payload) = body[12..].split_at(headed);
        let mut headers = Vec::new();
        while let Some((length, more)) = block.split_first() {
            let (name, more) = more.split_at(*length as usize);
            assert_eq!(more[0], 7, "a header that is no string");
            let (value, more) = more[3..].split_at(u16::from_be_bytes([more[1], more[2]]) as usize);
            headers.push((String::from_utf8(name.into()).unwrap(), String::from_utf8(value.into()).unwrap()));
            block = more;
        }
        messages.push(Message { headers, payload: serde_json::from_slice(payload).unwrap(), sound });
        bytes = rest;
    }
    messages
}
