//! The exchange, driven by a script: every invariant of `weir::exchange` has a property or a case here.
//!
//! | invariant | where |
//! |---|---|
//! | 1, 2, 3, 4, 5, 9 | `random`, and after every event of every other case (`support`, `envoy`) |
//! | 6 | `splits`, `pass` |
//! | 7 | `steps` |
//! | 8 | `splits`, `counts` |

mod answers;
mod attempts;
mod beside;
mod bills;
mod bodies;
mod callers;
mod carried;
mod counted_here;
mod counts;
mod crossings;
mod cuts;
mod downgrades;
mod drops;
mod edges;
mod endpoints;
mod envoy;
mod envoy_turns;
mod explains;
mod golden;
mod hold;
mod hostile;
mod items;
mod leaders;
mod limits;
mod limits_bounds;
mod limits_told;
mod listed;
mod namespaces;
mod pass;
mod passages;
mod policies;
mod random;
mod recorded;
mod replays;
mod rewrites;
mod routing;
mod rows;
mod signed;
mod situations;
mod spaces;
mod splits;
mod steps;
mod support;
mod tighten;
mod too_long;
mod units;
mod unreadable;
mod writer;
