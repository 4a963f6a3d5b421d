//! Calls whose pieces come interleaved, put one behind the other, for APIs whose blocks are never open side by
//! side: Anthropic's, Bedrock's.
//!
//! The call that is open goes on as its pieces come; those behind it are held until it is complete, which its
//! JSON tells, or until something else begins. What is held is bounded: [`InTurn::MOST`].

use std::collections::VecDeque;

use crate::llm::{Delta, Fault, FaultKind, Signature};

/// A call that waits, or one that begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    pub index: u32,
    pub id: String,
    pub name: String,
    pub arguments: String,
    pub signature: Option<Signature<'static>>,
}

/// What a piece of a call is to its writer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// A call begins. What was open ends here; nothing is held behind it.
    Begin(Call),
    /// It is of the call that is open.
    GoOn,
    /// It is held, or it says nothing.
    Wait,
}

/// The calls of one stream.
#[derive(Debug, Default)]
pub(super) struct InTurn {
    open: Option<(u32, Balance)>,
    waiting: VecDeque<Call>,
    bytes: usize,
    /// Calls that were begun here, or will be.
    begun: u32,
}

/// Whether a JSON object that comes in pieces is complete.
#[derive(Clone, Copy, Debug, Default)]
struct Balance {
    depth: u32,
    in_string: bool,
    is_escaped: bool,
    is_complete: bool,
}

// === impl InTurn ===

impl InTurn {
    /// Bytes that are held at most; a stream with more cannot be written.
    pub const MOST: usize = 4 << 20;

    /// Takes a step, if it is a piece of a call.
    ///
    /// # Errors
    /// With what ends the stream: more would be held than may be, or a call goes on that was closed. A call
    /// without its end must not be made.
    pub fn push(&mut self, delta: &Delta) -> Result<Turn, Fault> {
        let Delta::ToolCall { index, id, name, arguments, signature, .. } = delta else { return Ok(Turn::Wait) };
        if let Some((open, balance)) = &mut self.open
            && open == index
        {
            balance.push(arguments);
            return Ok(Turn::GoOn);
        }
        // They wait in the order of their numbers.
        if let Ok(at) = self.waiting.binary_search_by_key(index, |held| held.index)
            && let Some(held) = self.waiting.get_mut(at)
        {
            self.bytes += arguments.len();
            if self.bytes <= Self::MOST {
                held.arguments.push_str(arguments);
            }
            return self.waits();
        }
        if *index < self.begun {
            let message = "The provider sent a piece of a tool call that was over already.";
            // White space behind it says nothing.
            return match arguments.trim().is_empty() {
                true => Ok(Turn::Wait),
                false => Err(Fault::in_stream(FaultKind::Server, message)),
            };
        }
        let call = Call {
            index: *index,
            id: id.clone().unwrap_or_default(),
            name: name.clone().unwrap_or_default(),
            arguments: arguments.clone(),
            signature: signature.clone(),
        };
        self.begun = index.saturating_add(1);
        if self.open.is_some_and(|(_, balance)| !balance.is_complete) {
            self.bytes += call.len();
            self.waiting.push_back(call);
            return self.waits();
        }
        Ok(Turn::Begin(call))
    }

    fn waits(&mut self) -> Result<Turn, Fault> {
        if self.bytes <= Self::MOST {
            return Ok(Turn::Wait);
        }
        *self = InTurn { begun: self.begun, ..InTurn::default() };
        let message = format!("The answer's calls are interleaved over more than the {} bytes held here.", Self::MOST);
        Err(Fault::in_stream(FaultKind::Server, message))
    }

    /// This call is open now.
    pub fn begin(&mut self, call: &Call) {
        let mut balance = Balance::default();
        balance.push(&call.arguments);
        self.open = Some((call.index, balance));
    }

    /// The next call, if the open one is complete.
    pub fn next(&mut self) -> Option<Call> {
        self.open.filter(|(_, balance)| balance.is_complete)?;
        let call = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(call.len());
        Some(call)
    }

    /// Something else begins, or the stream ends: no call is open, and those that waited are whole now.
    pub fn close(&mut self) -> VecDeque<Call> {
        self.open = None;
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    /// True when the stream has calls.
    pub fn any(&self) -> bool {
        self.begun > 0
    }

    /// Bytes that are held.
    pub fn held(&self) -> usize {
        self.bytes
    }
}

// === impl Call ===

impl Call {
    /// Bytes that it is held in.
    fn len(&self) -> usize {
        let seal = self.signature.as_ref().map_or(0, |seal| seal.data.len());
        size_of::<Call>() + self.id.len() + self.name.len() + self.arguments.len() + seal
    }
}

// === impl Balance ===

impl Balance {
    fn push(&mut self, piece: &str) {
        for byte in piece.bytes() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.is_complete |= self.depth == 0;
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn piece(index: u32, is_first: bool, arguments: &str) -> Delta {
        let word = |prefix: &str| is_first.then(|| format!("{prefix}{index}"));
        let arguments = arguments.to_owned();
        Delta::ToolCall { choice: 0, index, id: word("id"), name: word("f"), arguments, signature: None }
    }

    /// What a client reads: each call from where it begins to where the next one does.
    fn written(deltas: &[Delta]) -> Result<Vec<(u32, String)>, Fault> {
        fn begin(turns: &mut InTurn, out: &mut Vec<(u32, String)>, call: &Call) {
            turns.begin(call);
            out.push((call.index, call.arguments.clone()));
        }
        let (mut turns, mut out) = (InTurn::default(), Vec::new());
        for delta in deltas {
            let Delta::ToolCall { arguments, .. } = delta else { continue };
            match turns.push(delta)? {
                Turn::Begin(call) => {
                    assert_eq!(turns.close(), []);
                    begin(&mut turns, &mut out, &call);
                }
                Turn::GoOn => out.last_mut().unwrap().1.push_str(arguments),
                Turn::Wait => {}
            }
            while let Some(call) = turns.next() {
                begin(&mut turns, &mut out, &call);
            }
        }
        turns.close().iter().for_each(|call| out.push((call.index, call.arguments.clone())));
        assert_eq!(turns.held(), 0);
        Ok(out)
    }

    #[test]
    fn a_call_behind_an_open_one_waits_for_its_end() {
        let (first, more) = (|index| piece(index, true, ""), |index, text: &str| piece(index, false, text));
        let deltas = [first(0), first(1), more(1, "{\"b\":"), more(0, "{\"a\":\"}\""), more(1, "2}"), more(0, "}")];
        let expected = [(0, r#"{"a":"}"}"#.to_owned()), (1, r#"{"b":2}"#.to_owned())];
        assert_eq!(written(&deltas), Ok(expected.to_vec()));
    }

    #[test]
    fn a_call_that_is_over_does_not_go_on() {
        let deltas = [piece(0, true, "{}"), piece(1, true, "{}"), piece(0, false, "more")];
        assert_eq!(written(&deltas).unwrap_err().kind, FaultKind::Server);
        for silence in ["", "\n", " \t\r\n"] {
            let silent = [piece(0, true, "{}"), piece(1, true, "{}"), piece(0, false, silence)];
            assert_eq!(written(&silent), Ok(vec![(0, "{}".to_owned()), (1, "{}".to_owned())]), "{silence:?}");
        }
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut turns = InTurn::default();
        let Ok(Turn::Begin(call)) = turns.push(&piece(0, true, "{")) else { panic!("it waits for nothing") };
        turns.begin(&call);
        let megabyte = "x".repeat(1 << 20);
        let pushed = (0..100).map(|at| turns.push(&piece(1, at == 0, &megabyte))).take_while(|turn| {
            assert!(turn.is_err() || *turn == Ok(Turn::Wait));
            turn.is_ok()
        });
        assert_eq!(pushed.count(), 3);
        assert_eq!(turns.held(), 0, "a stream that has failed holds nothing");
        // Calls without arguments have a price as well.
        let mut turns = InTurn::default();
        let Ok(Turn::Begin(call)) = turns.push(&piece(0, true, "{")) else { panic!("it waits for nothing") };
        turns.begin(&call);
        assert!((1..1_000_000).any(|index| turns.push(&piece(index, true, "")).is_err()));
    }

    proptest! {
        /// Whatever the order of the pieces, each call is read once and whole, in the order in which they began.
        #[test]
        fn every_call_comes_whole(order in prop::collection::vec(0_u32..4, 0..24), ends in any::<bool>()) {
            let (mut deltas, mut whole, mut next) = (Vec::new(), BTreeMap::<u32, String>::new(), 0);
            for choice in order {
                // Calls are numbered without a gap.
                let index = choice.min(next);
                let is_first = index == next;
                next += u32::from(is_first);
                let text = if is_first { "{\"k\":\"".to_owned() } else { format!("{}\\\"}}", deltas.len()) };
                whole.entry(index).or_default().push_str(&text);
                deltas.push(piece(index, is_first, &text));
            }
            if ends {
                for (index, whole) in &mut whole {
                    whole.push_str("\"}");
                    deltas.push(piece(*index, false, "\"}"));
                }
            }
            prop_assert_eq!(written(&deltas), Ok(whole.into_iter().collect()));
        }
    }
}
