//! What the end of a value means.

use super::*;
use crate::base::money::{NanoUsd, Rate, Sum};

// === impl Scan ===

impl Scan {
    pub(super) fn end_number(&mut self) {
        let value = match self.slot {
            Slot::Seconds(_) | Slot::Duration => self.capture.thousandths(),
            _ => self.capture.number(),
        };
        match (self.slot, value) {
            (Slot::Number(field) | Slot::Seconds(field), Some(value)) => self.raw.set(field, value),
            (Slot::Duration, Some(value)) => self.seen.aside.duration_ms = Some(value),
            (Slot::Total, Some(value)) => self.seen.aside.total_tokens = Some(value),
            (Slot::ModalityCount, Some(value)) => self.modality.1 = Some(value),
            (Slot::Cost, _) => self.seen.aside.cost = self.capture.text().and_then(usd),
            // A tick is a tenth of a nano-USD; half of one is rounded up, as everywhere.
            (Slot::Ticks, Some(ticks)) => {
                self.seen.aside.cost = i64::try_from(ticks.saturating_add(5) / 10).ok().map(NanoUsd)
            }
            // A number that is no count of tokens: something is not understood.
            (Slot::Number(_) | Slot::Seconds(_) | Slot::ModalityCount, None) => self.unknown(),
            (Slot::UnknownNumber, value) if value != Some(0) => self.unknown(),
            _ => {}
        }
    }

    pub(super) fn unknown(&mut self) {
        self.seen.unknown_usage_fields = self.seen.unknown_usage_fields.saturating_add(1);
    }

    pub(super) fn end_string(&mut self) {
        if self.state == State::InKey {
            (self.slot, self.child) = place::member(self.top(), self.depth, self.capture.bytes());
            self.state = State::Colon;
            return;
        }
        let text = self.capture.text();
        match self.slot {
            Slot::Model => keep(&mut self.seen.model, text),
            Slot::Tier => keep(&mut self.seen.service_tier, text),
            Slot::Finish | Slot::LastFinish => {
                keep(&mut self.seen.finish, text);
                self.seen.is_finished |= self.slot == Slot::LastFinish && text.is_some();
            }
            Slot::Size => keep(&mut self.seen.aside.size, text),
            Slot::Quality => keep(&mut self.seen.aside.quality, text),
            Slot::Geo if !usage::is_ordinary(text.unwrap_or_default()) => keep(&mut self.seen.aside.geo, text),
            Slot::Speed if !usage::is_ordinary(text.unwrap_or_default()) => keep(&mut self.seen.aside.speed, text),
            Slot::Type => {
                self.seen.has_error |= text == Some("error");
                let images = u64::from(place::is_image(text.unwrap_or_default()));
                self.seen.aside.images = self.seen.aside.images.saturating_add(images);
                if place::is_repetition(text.unwrap_or_default()) {
                    self.seen.text_bytes = self.seen.text_bytes.saturating_sub(self.text.repeat());
                }
            }
            Slot::Modality => {
                if let Place::Usage(part) = self.top().place {
                    self.modality.0 = usage::modality_field(part, self.capture.bytes());
                }
            }
            _ => {}
        }
        self.end_value();
    }
}

/// An amount as an answer states it, to the nearest nano-USD; none that is negative or no number.
fn usd(text: &str) -> Option<NanoUsd> {
    let (amount, _) = Rate::nearest(text).ok()?;
    let mut sum = Sum::default();
    sum.add(1, amount);
    Some(sum.nanos())
}
