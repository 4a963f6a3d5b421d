//! The highest of what was seen within the last minute, in memory that does not grow and without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

use super::window::Time;

/// Nanoseconds of a slot.
const SLOT: u64 = 10_000_000_000;

/// A minute, and the slot that has begun.
const SLOTS: usize = 7;

/// What was seen in each slot: its number in the upper half, the highest value in the lower, so that the larger word
/// is the later slot, and of one slot the higher value.
#[derive(Debug, Default)]
pub struct Peak([AtomicU64; SLOTS]);

// === impl Peak ===

impl Peak {
    pub fn see(&self, value: u32, now: Time) {
        let slot = slot(now);
        if let Some(word) = self.0.get(place(slot)) {
            word.fetch_max(u64::from(slot) << 32 | u64::from(value), Ordering::Relaxed);
        }
    }

    /// None where nothing was seen: for a minute at least, for seventy seconds at most.
    pub fn highest(&self, now: Time) -> Option<u32> {
        let now = slot(now);
        let words = self.0.iter().map(|word| word.load(Ordering::Relaxed));
        let recent = words.filter(|word| {
            let age = now.wrapping_sub(u32::try_from(word >> 32).unwrap_or(0));
            *word > 0 && usize::try_from(age).is_ok_and(|age| age < SLOTS)
        });
        recent.map(|word| u32::try_from(word & u64::from(u32::MAX)).unwrap_or(u32::MAX)).max()
    }
}

/// Never 0, so that a word that was never written is told from one that was.
fn slot(now: Time) -> u32 {
    u32::try_from(now.steady / SLOT + 1).unwrap_or(u32::MAX)
}

fn place(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(0) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time { steady: seconds * 1_000_000_000, unix: 0 }
    }

    #[test]
    fn the_highest_of_the_last_minute_is_told_and_then_forgotten() {
        for start in [0, 5, 1_790_000_003] {
            let peak = Peak::default();
            assert_eq!(peak.highest(at(start)), None);
            peak.see(0, at(start));
            assert_eq!(peak.highest(at(start)), Some(0), "nothing used was seen all the same");
            peak.see(900, at(start));
            peak.see(400, at(start));
            peak.see(500, at(start + 30));
            assert_eq!(peak.highest(at(start + 60)), Some(900));
            assert_eq!(peak.highest(at(start + 70)), Some(500));
            assert_eq!(peak.highest(at(start + 100)), None);
            // A slot is used again.
            peak.see(7, at(start + 140));
            assert_eq!(peak.highest(at(start + 140)), Some(7));
        }
    }

    #[test]
    fn many_threads_see_one_peak() {
        let peak = Peak::default();
        std::thread::scope(|scope| {
            for thread in 0..8_u32 {
                let peak = &peak;
                scope.spawn(move || {
                    (0..1_000).for_each(|value| peak.see(value * 8 + thread, at(u64::from(value % 60))))
                });
            }
        });
        assert_eq!(peak.highest(at(59)), Some(999 * 8 + 7));
    }
}
