//! [io] To which part of a Cluster a key belongs, and a command that knows it.

use redis::Cmd;

/// Into how many a Cluster divides all keys.
pub(super) const SLOTS: u16 = 16_384;
/// So many numbers hit each slot.
const TAGS: u32 = 20 * SLOTS as u32;

/// A command, and the slot of all its keys.
#[derive(Clone)]
pub struct Command {
    pub slot: u16,
    pub words: Cmd,
}

// === impl Command ===

impl Command {
    /// `key` is one of its keys: they all have the same slot.
    pub fn new(key: impl AsRef<[u8]>, words: Cmd) -> Command {
        Command { slot: of(key), words }
    }
}

/// The slot of a key: by what is in its first braces, unless that is nothing (Cluster specification, "hash tags").
pub fn of(key: impl AsRef<[u8]>) -> u16 {
    let key = key.as_ref();
    let after = |brace: u8, bytes: &[u8]| bytes.iter().position(|byte| *byte == brace);
    let inside = after(b'{', key).and_then(|at| key.get(at + 1..));
    let tag = inside.and_then(|inside| inside.get(..after(b'}', inside)?)).filter(|tag| !tag.is_empty());
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// The slot of all keys whose first braces hold this text, which is not empty and has no brace that closes them.
pub fn of_tag(tag: &str) -> u16 {
    crc16(tag.as_bytes()) % SLOTS
}

/// A number that stands for a slot which is wanted, where it is a tag; 0 where there is none.
pub(super) fn tag(is_wanted: impl Fn(u16) -> bool) -> u32 {
    (0..TAGS).find(|number| is_wanted(of_tag(&number.to_string()))).unwrap_or_default()
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        let at = usize::from((crc >> 8) as u8 ^ byte);
        crc << 8 ^ TABLE.get(at).copied().unwrap_or_default()
    })
}

/// What each byte comes to.
const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut at: usize = 0;
    while at < table.len() {
        let mut crc = (at as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The first is the specification's own check; the others are what `CLUSTER KEYSLOT` of Redis 7.0 says.
    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        for (key, slot) in [
            ("foo", 12_182),
            ("{user1000}.following", 3_443),
            ("{user1000}.followers", 3_443),
            ("foo{}{bar}", 8_363),
            ("foo{{bar}}zap", 4_015),
            ("foo{bar}{zap}", 5_061),
            ("bar", 5_061),
            ("", 0),
        ] {
            assert_eq!(of(key), slot, "{key}");
        }
    }

    #[test]
    fn every_slot_has_a_tag() {
        let hit: HashSet<u16> = (0..TAGS).map(|number| of(number.to_string())).collect();
        assert_eq!(hit.len(), usize::from(SLOTS));
        for slot in [0, 1, 8_191, SLOTS - 1] {
            assert_eq!(of(tag(|wanted| wanted == slot).to_string()), slot);
        }
    }
}
