//! What things are called in the store.
//!
//! | key                                   | is                                                             |
//! |---------------------------------------|----------------------------------------------------------------|
//! | `PREFIX:cache:NAMESPACE:PLACE:KEY`    | an answer, or the vector of an input: a string, see [`value`](super::value) |
//! | `PREFIX:cache:NAMESPACE:PLACE:KEY:v`  | vectors of the questions of one fingerprint: a hash, see [`vector`](super::vector) |
//! | `PREFIX:{cache}:forgotten`            | what was forgotten when: a hash, see `forget.lua`               |
//!
//! NAMESPACE is that of the document whose rule keeps it, see [`extent`](crate::cache::extent); PLACE and KEY are
//! hashes in hexadecimal digits. So `redis-cli --scan --pattern 'weir:cache:shop:*'` shows what is kept of the
//! namespace `shop`. An answer has no braces: in a Cluster it is wherever its own slot is.
//!
//! A user of the store needs for the prefix `weir`, beside what limits need where both have one store:
//!
//! ```text
//! ACL SETUSER weir on >PASSWORD resetkeys ~weir:* resetchannels -@all +evalsha +script|load
//!   +select +time +type +getrange +set +unlink +scan +pexpire +pttl
//!   +hget +hset +hdel +hlen +hkeys +hgetall +hstrlen +info +cluster|slots +asking
//! ```

use crate::cache::extent;
use crate::cache::{Extent, Key, Place};

/// The names under one prefix.
#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: String,
}

// === impl Names ===

impl Names {
    pub(super) fn new(prefix: &str) -> Names {
        Names { prefix: prefix.to_owned() }
    }

    /// Of an answer.
    pub(super) fn entry(&self, place: &Place, key: &Key) -> String {
        format!("{}:cache:{}:{}:{key}", self.prefix, extent::name(&place.namespace), place.tag)
    }

    /// Of the vectors of one fingerprint.
    pub(super) fn vectors(&self, place: &Place, fingerprint: &Key) -> String {
        format!("{}:v", self.entry(place, fingerprint))
    }

    /// Of what was forgotten.
    pub(super) fn forgotten(&self) -> String {
        format!("{}:{{cache}}:forgotten", self.prefix)
    }

    /// The pattern, in the sense of `SCAN`, of all that an extent covers and of nothing else.
    pub(super) fn pattern(&self, extent: &Extent) -> String {
        let mut pattern = String::with_capacity(self.prefix.len() + 64);
        for letter in self.prefix.chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        match extent {
            Extent::All => pattern.push_str(":cache:*"),
            within => pattern.push_str(&format!(":cache:{within}:*")),
        }
        pattern
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Tag;
    use crate::store::slot;

    #[test]
    fn names_and_patterns_of_a_place() {
        let names = Names::new("w*");
        let place = Place { namespace: "a:{b}".into(), tag: Tag([0xab; 16]) };
        let (tag, key) = ("ab".repeat(16), "cd".repeat(32));
        assert_eq!(names.entry(&place, &Key([0xcd; 32])), format!("w*:cache:a%3a%7bb%7d:{tag}:{key}"));
        assert_eq!(names.vectors(&place, &Key([0xcd; 32])), format!("w*:cache:a%3a%7bb%7d:{tag}:{key}:v"));
        assert_eq!(names.pattern(&Extent::All), r"w\*:cache:*");
        assert_eq!(names.pattern(&Extent::Namespace("a".into())), r"w\*:cache:a:*");
        assert_eq!(names.pattern(&Extent::Place(place)), format!(r"w\*:cache:a%3a%7bb%7d:{tag}:*"));
    }

    #[test]
    fn answers_are_spread_over_a_cluster() {
        let names = Names::new("weir");
        let place = Place { namespace: "a".into(), tag: Tag([1; 16]) };
        let slots: std::collections::HashSet<u16> =
            (0..64).map(|key| slot::of(names.entry(&place, &Key([key; 32])))).collect();
        assert!(slots.len() > 60);
    }
}
