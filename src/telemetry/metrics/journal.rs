//! The families about the journal of limits.

use prometheus_client::registry::Registry;

use super::{counter, gauge};
use crate::limit::journal::Counts;

pub fn register(r: &mut Registry) -> Counts {
    Counts {
        unkept: counter(r, "weir_journal_unkept", "Reservations and settlements that could not be written down"),
        cut: counter(r, "weir_journal_cut_bytes", "Bytes behind the last whole entry of the journal at the start"),
        compactions: counter(r, "weir_journal_compactions", "Times a shorter journal took the place of a longer one"),
        size: gauge(r, "weir_journal_bytes", "Bytes of the journal"),
        failing: gauge(r, "weir_journal_failing", "1 while the journal cannot be written"),
    }
}
