//! Where a key counts that finds no room: all such keys of a limit have one counter together, with the ceiling that
//! each would have had.
//!
//! What is said there is enforced: a limit without room is a limit still. But who makes up keys until the room is
//! full must not lock out every new key for the rest of a month. So that counter's window is no longer than an hour,
//! whatever the limit's: what goes through it is bounded in each hour, and nobody waits for longer. Keys that have
//! their own counters notice nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::limit::Limit;
use crate::limit::take::Take;
use crate::limit::window::{Unit, Window};

/// The longest window of such a counter.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Behind the limit's id. No key of a call is called so: what stands behind the id of its limit begins with a bar.
const NAME: &str = " (no room)";

/// The takes, where those that find no room are of the counters for that.
pub fn instead(takes: &[Take], lacking: &[usize]) -> Vec<Take> {
    let find = |(n, take): (usize, &Take)| match lacking.contains(&n) && !is_one(&take.limit, &take.key) {
        true => Take { limit: limit(&take.limit), key: format!("{}{NAME}", take.limit.id).into(), ..take.clone() },
        false => take.clone(),
    };
    takes.iter().enumerate().map(find).collect()
}

/// Whether a key is of such a counter.
pub fn is_one(limit: &Limit, key: &str) -> bool {
    key.strip_prefix(&*limit.id) == Some(NAME)
}

/// It warns of nothing: that keys find no room is said by itself.
fn limit(limit: &Arc<Limit>) -> Arc<Limit> {
    let window = match &limit.window {
        Window::Rolling(length) if *length > LONGEST => Window::Rolling(LONGEST),
        Window::Calendar(calendar) if calendar.unit != Unit::Hour => Window::Rolling(LONGEST),
        short => short.clone(),
    };
    Arc::new(Limit { window, warn_at: Vec::new(), per: Vec::new(), ..Limit::clone(limit) })
}
