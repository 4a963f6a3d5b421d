//! The text of an answer of which nobody has stated the tokens, on its way to where there is time to
//! count them. It is somebody's answer: no `Debug` of it, and nothing here gives it out.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::bpe;
use crate::base::money::NanoUsd;
use crate::llm::{PriceRow, Usage};

/// A counted part shorter than this says little of the rest.
const TELLING: usize = 4 << 10;

/// The text, and what to make of its tokens. Clones are the same one: it is counted once, and all of
/// them agree.
#[derive(Clone)]
pub struct Uncounted(Arc<Inner>);

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    pub usage: Usage,
    pub cost: Option<NanoUsd>,
    pub price: Option<PriceRow>,
}

/// The text as far as it was kept, as it came: where an answer has several choices they alternate, and
/// their count is nearly exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub kept: Vec<u8>,
    /// Bytes of all of it.
    pub whole: u64,
    /// Tokens of what was not kept, by what is known of the model.
    pub beyond: u64,
}

/// What a call comes to when its text is so many tokens.
type Bill = Box<dyn Fn(u64) -> Counted + Send + Sync>;

struct Inner {
    model: Box<str>,
    whole: u64,
    length: usize,
    bill: Bill,
    state: Mutex<State>,
}

enum State {
    Fresh(Text),
    /// There is room for it where it waits.
    Admitted(Text),
    Counted(Counted),
    /// What was estimated stands.
    Forgotten,
}

// === impl Uncounted ===

impl Uncounted {
    /// A text that `model` has written. `bill` is called at most once.
    pub fn new(model: &str, text: Text, bill: impl Fn(u64) -> Counted + Send + Sync + 'static) -> Self {
        let (whole, length) = (text.whole, text.kept.len());
        let state = Mutex::new(State::Fresh(text));
        Uncounted(Arc::new(Inner { model: model.into(), whole, length, bill: Box::new(bill), state }))
    }

    /// Bytes of text that it came with.
    pub fn kept(&self) -> usize {
        self.0.length
    }

    /// Asks for room, once for all clones. Without it the text is dropped, and the estimate stands.
    pub fn admit(&self, take: impl FnOnce(usize) -> bool) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = match std::mem::replace(&mut *state, State::Forgotten) {
            State::Fresh(text) if take(text.kept.len()) => State::Admitted(text),
            State::Fresh(_) => State::Forgotten,
            other => other,
        };
    }

    /// Drops a text that was not counted yet, and gives its room back: what was estimated stands.
    pub fn forget(&self, give: impl FnOnce(usize)) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = match std::mem::replace(&mut *state, State::Forgotten) {
            State::Admitted(text) => {
                give(text.kept.len());
                State::Forgotten
            }
            State::Fresh(_) | State::Forgotten => State::Forgotten,
            // Its clones agree.
            counted @ State::Counted(_) => counted,
        };
    }

    /// Counts, once for all clones: time linear in the text, which is dropped, and its room given
    /// back. None where the estimate stands.
    pub fn count(&self, give: impl FnOnce(usize)) -> Option<Counted> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = match std::mem::replace(&mut *state, State::Forgotten) {
            State::Fresh(text) => (self.0.bill)(text.tokens(&self.0.model)),
            State::Admitted(text) => {
                let counted = (self.0.bill)(text.tokens(&self.0.model));
                give(text.kept.len());
                counted
            }
            State::Counted(counted) => counted,
            State::Forgotten => return None,
        };
        *state = State::Counted(counted.clone());
        Some(counted)
    }
}

impl PartialEq for Uncounted {
    fn eq(&self, other: &Self) -> bool {
        let same = |other: &Inner| {
            let text = |inner: &Inner| match &*inner.state.lock().unwrap_or_else(PoisonError::into_inner) {
                State::Fresh(text) | State::Admitted(text) => Some(text.clone()),
                State::Counted(_) | State::Forgotten => None,
            };
            (&self.0.model, self.0.whole, text(&self.0)) == (&other.model, other.whole, text(other))
        };
        Arc::ptr_eq(&self.0, &other.0) || same(&other.0)
    }
}

impl Eq for Uncounted {}

impl fmt::Debug for Uncounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uncounted({} of {} bytes)", self.0.length, self.0.whole)
    }
}

// === impl Text ===

impl Text {
    /// Tokens of the whole: counted as far as it was kept, and the rest in proportion.
    fn tokens(&self, model: &str) -> u64 {
        let counted = bpe::count(model, &String::from_utf8_lossy(complete(&self.kept)));
        let (length, rest) = (self.kept.len() as u64, self.whole.saturating_sub(self.kept.len() as u64));
        let beyond = match self.kept.len() {
            _ if rest == 0 => 0,
            TELLING.. => {
                let nearest = (u128::from(rest) * u128::from(counted) + u128::from(length / 2)) / u128::from(length);
                u64::try_from(nearest).unwrap_or(u64::MAX)
            }
            _ => self.beyond,
        };
        counted.saturating_add(beyond)
    }
}

/// The text without the beginning of a character at its end.
fn complete(text: &[u8]) -> &[u8] {
    let lead = text.iter().rev().take(3).position(|byte| byte & 0xc0 != 0x80);
    let Some((begin, lead)) = lead.and_then(|back| {
        let at = text.len() - back - 1;
        Some((at, *text.get(at)?))
    }) else {
        return text;
    };
    let length = match lead {
        0..0xc0 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0.. => 4,
    };
    if text.len() - begin < length { &text[..begin] } else { text }
}

#[cfg(test)]
mod tests;
