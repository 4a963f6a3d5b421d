//! The bytes of a journal; what they are is said at the head of the module above. Reading takes any bytes: what is
//! not whole, or not as it was written, is the end.

use std::sync::Arc;

use crate::limit::window::{Time, Unit as CalendarUnit, Window};
use crate::limit::{Limit, Unit, window};

pub const MAGIC: [u8; 8] = *b"weir.lim";
pub const VERSION: u32 = 1;
/// Bytes of the header, and of what stands before each payload.
pub const HEADER: usize = 16;
pub const FRAME: usize = 8;
/// A payload is no longer. What claims to be is not read, so that no length makes a reader take memory.
pub const LONGEST: usize = 1 << 20;
/// Charges of one entry, at most.
pub const GROUP: usize = 1024;

const CLOCK: u8 = 1;
const COUNTER: u8 = 2;
const CHARGES: u8 = 3;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Clock(Stamp),
    /// The counter that charges behind it mean by this number.
    Counter(u64, Name),
    /// Of one grant, all or none of them.
    Charges(Vec<Charge>),
}

/// What the clocks showed at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds of the clock by which rolling windows are counted.
    pub steady: u64,
    /// Nanoseconds since the Unix epoch.
    pub unix: u64,
    /// Nanoseconds since the machine was started.
    pub uptime: u64,
    /// Which start of the machine that was; zero where nobody says.
    pub boot: [u8; 16],
}

/// Whose counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    pub kind: Kind,
    pub key: Arc<str>,
    /// Of the limit.
    pub id: Arc<str>,
    /// The limit's amount when the counter was opened.
    pub ceiling: u64,
}

/// What two limits of one key must have in common to be counted as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    pub unit: Unit,
    pub span: Span,
}

/// A window that outlives its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Span {
    /// By the length of its part, in nanoseconds.
    Rolling(u64),
    Calendar(CalendarUnit),
}

/// `to` instead of `from` in one bucket of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    pub counter: u64,
    pub bucket: u64,
    /// When the bucket ends to count, on the clock of its window.
    pub end: u64,
    pub from: u64,
    pub to: u64,
}

/// Why bytes are not a journal's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOurs {
    /// Something else.
    Foreign,
    /// Of this version.
    Version(u32),
}

/// Takes fields off the front.
struct Fields<'a>(&'a [u8]);

/// The units as they are written. A row is never given to another.
const UNITS: [(u8, Unit); 3] = [(1, Unit::Requests), (2, Unit::Tokens), (3, Unit::Usd)];
const CALENDARS: [(u8, CalendarUnit); 5] = [
    (1, CalendarUnit::Hour),
    (2, CalendarUnit::Day),
    (3, CalendarUnit::Week),
    (4, CalendarUnit::Month),
    (5, CalendarUnit::Year),
];
const ROLLING: u8 = 1;
const CALENDAR: u8 = 2;

pub fn header() -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let (magic, rest) = header.split_at_mut(8);
    magic.copy_from_slice(&MAGIC);
    let (version, sum) = rest.split_at_mut(4);
    version.copy_from_slice(&VERSION.to_le_bytes());
    sum.copy_from_slice(&crc32c(&[magic, version]).to_le_bytes());
    header
}

/// # Errors
/// When it is of another version, or of something else.
pub fn check(header: &[u8; HEADER]) -> Result<(), NotOurs> {
    let mut fields = Fields(header);
    let is_ours = fields.take(8) == Some(&MAGIC) && header.get(..12).is_some_and(|told| sum(header) == crc32c(&[told]));
    match fields.u32() {
        Some(VERSION) if is_ours => Ok(()),
        Some(version) if is_ours => Err(NotOurs::Version(version)),
        _ => Err(NotOurs::Foreign),
    }
}

fn sum(header: &[u8; HEADER]) -> u32 {
    header.last_chunk().map_or(0, |sum| u32::from_le_bytes(*sum))
}

/// The length of the payload, and its checksum.
pub fn frame(bytes: &[u8; FRAME]) -> (u32, u32) {
    let mut fields = Fields(bytes);
    (fields.u32().unwrap_or(0), fields.u32().unwrap_or(0))
}

/// Whether a payload is what was written behind this length.
pub fn is_whole(length: u32, sum: u32, payload: &[u8]) -> bool {
    crc32c(&[&length.to_le_bytes(), payload]) == sum
}

// === impl Entry ===

impl Entry {
    /// Appends it, framed.
    pub fn write(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&[0; FRAME]);
        match self {
            Entry::Clock(stamp) => {
                out.push(CLOCK);
                [stamp.steady, stamp.unix, stamp.uptime].iter().for_each(|time| out.extend(time.to_le_bytes()));
                out.extend(stamp.boot);
            }
            Entry::Counter(number, name) => {
                out.push(COUNTER);
                out.extend(number.to_le_bytes());
                name.write(out);
            }
            Entry::Charges(charges) => {
                out.push(CHARGES);
                charges.iter().for_each(|charge| charge.write(out));
            }
        }
        let payload = out.get(begin + FRAME..).unwrap_or_default();
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
        let sum = crc32c(&[&length, payload]).to_le_bytes();
        out.iter_mut().skip(begin).zip(length.into_iter().chain(sum)).for_each(|(place, byte)| *place = byte);
    }

    /// Of a payload that is whole. None for what this version does not write.
    pub fn read(payload: &[u8]) -> Option<Entry> {
        let mut fields = Fields(payload);
        let entry = match fields.u8()? {
            CLOCK => {
                let (steady, unix, uptime) = (fields.u64()?, fields.u64()?, fields.u64()?);
                Entry::Clock(Stamp { steady, unix, uptime, boot: fields.take(16)?.try_into().ok()? })
            }
            COUNTER => Entry::Counter(fields.u64()?, Name::read(&mut fields)?),
            CHARGES => {
                let mut charges = Vec::with_capacity(payload.len() / Charge::BYTES);
                while !fields.0.is_empty() {
                    charges.push(Charge::read(&mut fields)?);
                }
                Entry::Charges(charges)
            }
            _ => return None,
        };
        fields.0.is_empty().then_some(entry)
    }
}

// === impl Stamp ===

impl Stamp {
    /// For windows.
    pub fn time(&self) -> Time {
        Time { steady: self.steady, unix: self.unix / 1_000_000_000 }
    }
}

// === impl Name ===

impl Name {
    /// None for what does not outlive its process, or has a longer name than an entry takes.
    pub fn of(limit: &Limit, key: &Arc<str>) -> Option<Name> {
        let kind = Kind::of(limit)?;
        let fits = limit.id.len() + key.len() < LONGEST / 2 && u16::try_from(limit.id.len()).is_ok();
        fits.then(|| Name { kind, key: key.clone(), id: limit.id.clone(), ceiling: limit.amount })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let unit = UNITS.iter().find(|(_, unit)| *unit == self.kind.unit).map_or(0, |(byte, _)| *byte);
        let (span, length) = match self.kind.span {
            Span::Rolling(part) => (ROLLING, part),
            Span::Calendar(unit) => {
                (CALENDAR, CALENDARS.iter().find(|(_, one)| *one == unit).map_or(0, |(byte, _)| u64::from(*byte)))
            }
        };
        out.extend([unit, span]);
        out.extend(length.to_le_bytes());
        out.extend(self.ceiling.to_le_bytes());
        out.extend(u16::try_from(self.id.len()).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(self.key.as_bytes());
    }

    fn read(fields: &mut Fields<'_>) -> Option<Name> {
        let (unit, span) = (fields.u8()?, fields.u8()?);
        let length = fields.u64()?;
        let unit = UNITS.iter().find(|(byte, _)| *byte == unit)?.1;
        let span = match span {
            ROLLING if length > 0 => Span::Rolling(length),
            CALENDAR => Span::Calendar(CALENDARS.iter().find(|(byte, _)| u64::from(*byte) == length)?.1),
            _ => return None,
        };
        let ceiling = fields.u64()?;
        let id = fields.u16()?;
        let id = fields.text(id.into())?;
        let key = fields.text(fields.0.len())?;
        Some(Name { kind: Kind { unit, span }, key, id, ceiling })
    }
}

// === impl Kind ===

impl Kind {
    /// None for what is held: it is released with its process.
    pub fn of(limit: &Limit) -> Option<Kind> {
        let span = match &limit.window {
            Window::Held => return None,
            Window::Rolling(length) => Span::Rolling(window::part(*length)),
            Window::Calendar(calendar) => Span::Calendar(calendar.unit),
        };
        let is_known = UNITS.iter().any(|(_, unit)| *unit == limit.unit);
        is_known.then_some(Kind { unit: limit.unit, span })
    }
}

// === impl Charge ===

impl Charge {
    pub const BYTES: usize = 40;

    fn write(&self, out: &mut Vec<u8>) {
        let fields = [self.counter, self.bucket, self.end, self.from, self.to];
        fields.iter().for_each(|field| out.extend(field.to_le_bytes()));
    }

    fn read(fields: &mut Fields<'_>) -> Option<Charge> {
        let mut next = || fields.u64();
        Some(Charge { counter: next()?, bucket: next()?, end: next()?, from: next()?, to: next()? })
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self, count: usize) -> Option<Arc<str>> {
        Some(std::str::from_utf8(self.take(count)?).ok()?.into())
    }
}

/// Castagnoli's, as of RFC 3720, B.4: a byte at a time is enough for entries of a hundred bytes.
pub fn crc32c(parts: &[&[u8]]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        let row = usize::from(crc.to_le_bytes()[0] ^ byte);
        TABLE.get(row).map_or(crc, |entry| entry ^ (crc >> 8))
    };
    !parts.iter().flat_map(|part| part.iter()).fold(u32::MAX, step)
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut row: u32 = 0;
    while row < 256 {
        let mut crc = row;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[row as usize] = crc;
        row += 1;
    }
    table
}
