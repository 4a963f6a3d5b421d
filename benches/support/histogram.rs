//! Durations counted in log-linear buckets: 128 a power of two, so a quantile is at most 0.8 % above
//! the truth, in 40 KiB whatever the number of values.

use std::time::Duration;

/// Buckets a power of two, as a power of two.
const PRECISION: u32 = 7;
/// Values from 2^42 ns (73 minutes) on count as the largest.
const POWERS: u32 = 42;
const BUCKETS: usize = ((POWERS - PRECISION + 1) << PRECISION) as usize;

#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

// === impl Histogram ===

impl Histogram {
    pub fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }

    pub fn record(&mut self, value: Duration) {
        self.counts[bucket(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX))] += 1;
        self.total += 1;
    }

    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
    }

    /// How many values there are.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// The least bound that at least `share` (0 to 1) of the values do not exceed; zero without values.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = ((share * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper(index));
            }
        }
        Duration::ZERO
    }
}

/// The bucket of `nanos`: values below 2^PRECISION have one each, then each power of two is cut in equal parts.
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.min((1 << POWERS) - 1);
    let shift = (64 - nanos.leading_zeros()).saturating_sub(PRECISION + 1);
    ((u64::from(shift) << PRECISION) + (nanos >> shift)) as usize
}

/// The largest value in the bucket.
fn upper(index: usize) -> u64 {
    let index = index as u64;
    let shift = (index >> PRECISION).saturating_sub(1);
    (((index - (shift << PRECISION)) + 1) << shift) - 1
}
