//! [io] Which time it is for what an earlier process has written: rolling windows go on as if it had never ended.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::format::Stamp;
use crate::limit::window::Time;

/// Where the machine says when it was started and how long ago.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
const UPTIME: &str = "/proc/uptime";

const SECOND: u64 = 1_000_000_000;

/// A clock for windows: steady, and the Unix time beside it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    began: u64,
    boot: [u8; 16],
}

/// Where a steady clock begins after one that showed `last`.
///
/// As long as the machine runs it tells how much time has passed, whatever was done to its clock meanwhile. After a
/// start of the machine the Unix time tells, and where that was set back no time has passed.
pub fn resume(last: Option<&Stamp>, here: &Stamp) -> u64 {
    let Some(last) = last else { return here.unix };
    let runs_on = here.boot != [0; 16] && here.boot == last.boot;
    match here.uptime.checked_sub(last.uptime) {
        Some(passed) if runs_on => last.steady.saturating_add(passed),
        _ => here.unix.max(last.steady),
    }
}

/// What the machine's clocks show; `steady` is nobody's yet.
pub fn look() -> Stamp {
    let boot = std::fs::read_to_string(BOOT).ok().and_then(|text| boot_id(&text));
    let uptime = std::fs::read_to_string(UPTIME).ok().and_then(|text| uptime(&text));
    let known = boot.zip(uptime);
    let (boot, uptime) = known.unwrap_or_default();
    Stamp { steady: 0, unix: unix_nanos(), uptime, boot }
}

/// Of 32 hexadecimal digits with hyphens between them.
fn boot_id(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim().chars().filter(|letter| *letter != '-').collect();
    let number = if digits.len() == 32 { u128::from_str_radix(&digits, 16).ok()? } else { return None };
    Some(number.to_be_bytes())
}

/// Of `350735.47 234388.90`, where the first is in seconds.
fn uptime(text: &str) -> Option<u64> {
    let (seconds, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    let hundredths: u64 = if hundredths.len() == 2 { hundredths.parse().ok()? } else { return None };
    Some(seconds.parse::<u64>().ok()?.checked_mul(SECOND)?.saturating_add(hundredths * (SECOND / 100)))
}

fn unix_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

// === impl Clock ===

impl Clock {
    /// Goes on from the last moment that is written down, or begins with the Unix time.
    pub fn start(last: Option<&Stamp>) -> Clock {
        let here = look();
        Clock { origin: Instant::now(), began: resume(last, &here), boot: here.boot }
    }

    pub fn now(&self) -> Time {
        Time { steady: self.steady(), unix: unix_nanos() / SECOND }
    }

    pub fn stamp(&self) -> Stamp {
        let here = look();
        let is_known = here.boot == self.boot;
        Stamp { steady: self.steady(), boot: if is_known { here.boot } else { [0; 16] }, ..here }
    }

    fn steady(&self) -> u64 {
        let since = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.began.saturating_add(since)
    }
}
