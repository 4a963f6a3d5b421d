//! The time zones that weekdays of a price may be stated in: those that never change their offset, so that
//! no database of zones is needed.

use std::str::FromStr;

/// A zone of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    name: &'static str,
    minutes: u16,
}

/// The zone is not in the table, or it has summer time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time zone without summer time that is known")]
pub struct UnknownZone;

/// Names of the IANA database with minutes east of UTC.
const ZONES: &[(&str, u16)] = &[
    ("UTC", 0),
    ("Asia/Dubai", 4 * 60),
    ("Asia/Hong_Kong", 8 * 60),
    ("Asia/Kolkata", 5 * 60 + 30),
    ("Asia/Seoul", 9 * 60),
    ("Asia/Shanghai", 8 * 60),
    ("Asia/Singapore", 8 * 60),
    ("Asia/Tokyo", 9 * 60),
];

// === impl Zone ===

impl Zone {
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Minutes east of UTC.
    pub fn minutes(self) -> u16 {
        self.minutes
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Zone, UnknownZone> {
        let found = ZONES.iter().find(|(known, _)| *known == name);
        found.map(|&(name, minutes)| Zone { name, minutes }).ok_or(UnknownZone)
    }
}
