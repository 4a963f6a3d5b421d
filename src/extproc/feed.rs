//! What a follower is told of its flight, as far as there is room for it.

use super::pool::Place;
use crate::exchange::Exchange;
use crate::exchange::event::Feed;

/// A step that this exchange would have to hold, where all hold too much already, sends it its own way: what a provider
/// answers it need not be held.
pub(super) fn feed(told: Feed, exchange: &Exchange, place: &Place) -> Feed {
    match told {
        Feed::Delta(delta) if exchange.is_holding_steps() && place.is_full_for(delta.weight()) => Feed::Alone,
        told => told,
    }
}
