//! Keeps a caller with one choice: weighted rendezvous hashing, so that every replica with the same
//! configuration chooses alike, and a choice that goes takes only its own callers along. Integers alone,
//! with a hash that is written down here: neither a release of the compiler nor a machine changes it.

use super::rule::StickyBy;

/// What is known of a call that it may be kept by. A value that is empty is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sticky<'a> {
    pub session: Option<&'a str>,
    pub consumer: Option<&'a str>,
    pub namespace: Option<&'a str>,
}

/// What a call is kept by, as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StickyKey(u64);

/// How near a choice is to a key, its weight taken into account: the least wins.
#[derive(Clone, Copy, Debug)]
pub struct Distance {
    cost: u64,
    weight: u32,
}

// === impl Sticky ===

impl Sticky<'_> {
    /// The key of those values that are named and known; none when none is, and then a call is not kept.
    pub fn key(&self, by: &[StickyBy]) -> Option<StickyKey> {
        let mut hash = BASIS;
        let mut any = false;
        for (at, word) in by.iter().enumerate() {
            let value = match word {
                StickyBy::Session => self.session,
                StickyBy::Consumer => self.consumer,
                StickyBy::Namespace => self.namespace,
            };
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                any = true;
                // Place and length with it: two lists of values never read as the same bytes.
                hash = bytes(hash, &(at as u64).to_le_bytes());
                hash = bytes(hash, &(value.len() as u64).to_le_bytes());
                hash = bytes(hash, value.as_bytes());
            }
        }
        any.then_some(StickyKey(mix(hash)))
    }
}

// === impl StickyKey ===

impl StickyKey {
    /// How near the choice of this backend and model is. A weight of 0 counts as 1.
    pub fn distance(self, backend: &str, model: &str, weight: u32) -> Distance {
        let name = bytes(bytes(bytes(BASIS, backend.as_bytes()), &[0]), model.as_bytes());
        Distance { cost: minus_log2(mix(self.0 ^ mix(name))), weight: weight.max(1) }
    }
}

// === impl Distance ===

impl Distance {
    /// `cost / weight` is less, without dividing.
    pub fn is_less(self, other: Distance) -> bool {
        u128::from(self.cost) * u128::from(other.weight) < u128::from(other.cost) * u128::from(self.weight)
    }
}

/// FNV-1a, 64 bits.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

fn bytes(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

/// The finalizer of SplitMix64: every bit of the input moves every bit of the output.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// `-log2(x / 2^64)` with 32 bits behind the point. An exponential variable where `x` is uniform: the
/// least of several, each divided by its weight, is each one's with a probability of its weight's share.
fn minus_log2(x: u64) -> u64 {
    const BITS: u32 = 32;
    let x = x | 1;
    let zeros = x.leading_zeros();
    // In [1, 2), as a number of 63 bits behind the point. Squaring it doubles its logarithm, whose next
    // bit then stands before the point.
    let mut one_to_two = x << zeros;
    let mut fraction = 0_u64;
    for _ in 0..BITS {
        let square = (u128::from(one_to_two) * u128::from(one_to_two)) >> 63;
        let carry = u64::from(square >> 64 != 0);
        fraction = (fraction << 1) | carry;
        one_to_two = u64::try_from(square >> carry).unwrap_or(u64::MAX);
    }
    ((u64::from(zeros) + 1) << BITS) - fraction
}

#[cfg(test)]
mod tests;
