//! What things are called in the store.
//!
//! | key                          | is                                                                      |
//! |------------------------------|-------------------------------------------------------------------------|
//! | `PREFIX:{COUNTER}:KIND`      | a counter; KIND is its unit and window, `tokens:r60000000`, so that one whose unit or length was changed begins anew |
//! | `PREFIX:{COUNTER}:g:ID`      | the mark of a grant, beside its first counter                           |
//! | `PREFIX:{cooldowns}`         | notices: what replicas tell one another of keys that providers limit or refuse |
//! | `PREFIX:probe`               | what a probe of the store writes; of a Cluster's server `PREFIX:{N}:probe`, so that it is one of its own |
//!
//! The braces are a Cluster's: what belongs to a counter is on one node. No other key is touched, so a user of
//! the store needs no more than this, for the prefix `weir`:
//!
//! ```text
//! ACL SETUSER weir on >PASSWORD resetkeys ~weir:* resetchannels -@all +evalsha +script|load
//!   +select +time +get +set +del +pexpire +hget +hset +hsetnx +hmget +hgetall +hdel +hincrby
//!   +cluster|slots +asking
//! ```
//!
//! The last line is a Cluster's, and does no harm elsewhere. Each of its servers needs the user.

use std::fmt::Write;

use crate::limit::key::{Fact, Key};
use crate::limit::window::Window;
use crate::limit::{Limit, Unit};

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

    pub(super) fn counter(&self, limit: &Limit, counter: &str) -> String {
        let unit = match limit.unit {
            Unit::Requests => "requests",
            Unit::Concurrency => "calls",
            Unit::Tokens => "tokens",
            Unit::Usd => "usd",
        };
        let mut key = format!("{}:{{{counter}}}:{unit}:", self.prefix);
        // Writing to a text does not fail.
        let _ = match &limit.window {
            Window::Held => key.write_char('h'),
            Window::Rolling(length) => write!(key, "r{}", length.as_micros()),
            Window::Calendar(calendar) => write!(key, "{:?}", calendar.unit),
        };
        key
    }

    /// The counter of one key of a limit, or a pattern for those of all keys: what stands in it of the limit is no
    /// pattern itself.
    pub(super) fn pattern(&self, limit: &Limit, counter: Option<&str>) -> String {
        let all = || match limit.per.iter().any(|key| *key != Key::Fact(Fact::Global)) {
            true => format!("{}|*", limit.id),
            false => limit.id.to_string(),
        };
        self.counter(limit, &counter.map_or_else(all, str::to_owned))
    }

    pub(super) fn mark(&self, first: &str, id: u128) -> String {
        format!("{}:{{{first}}}:g:{id:032x}", self.prefix)
    }

    pub(super) fn notices(&self) -> String {
        format!("{}:{{cooldowns}}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_counters_of_a_limit_and_those_of_no_other() {
        let names = Names::new("test");
        let limit =
            |per| Limit { per, ..Limit::new("fair/rpm", Unit::Requests, 9, Window::Rolling(Duration::from_secs(60))) };
        let by_team = limit(vec![Key::Fact(Fact::Team)]);
        assert_eq!(names.pattern(&by_team, None), "test:{fair/rpm|*}:requests:r60000000");
        assert_eq!(names.pattern(&by_team, Some("fair/rpm|a")), names.counter(&by_team, "fair/rpm|a"));
        for for_all in [limit(vec![]), limit(vec![Key::Fact(Fact::Global)])] {
            assert_eq!(names.pattern(&for_all, None), "test:{fair/rpm}:requests:r60000000");
        }
    }
}
