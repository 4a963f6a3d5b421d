//! What is answered, decided once for every dialect from what the request asks and the program orders:
//! thoughts, then words or calls, then how it ends, and what it costs.

use super::super::openai::{Caller, MOST_WORDS, Refuse, WORDS};
use super::super::program::UsageMode;
use super::super::reply::Usage;
use super::super::words;

/// What a dialect has read from a request.
#[derive(Clone, Debug)]
pub(in crate::mock) struct Ask {
    pub(in crate::mock) model: String,
    pub(in crate::mock) stream: bool,
    /// Bytes of all text that was said to the model.
    pub(in crate::mock) text: u64,
    /// The most tokens of the answer.
    pub(in crate::mock) limit: Option<u64>,
    pub(in crate::mock) choices: u32,
    /// The names of the functions, in their order.
    pub(in crate::mock) tools: Vec<String>,
    pub(in crate::mock) forced: Forced,
    /// No more than one call at a time.
    pub(in crate::mock) one_call: bool,
    /// The last that was said to the model is the user's own words and no tool's result.
    pub(in crate::mock) user_last: bool,
}

/// What the request says about calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::mock) enum Forced {
    #[default]
    No,
    Never,
    Any,
    Named(String),
}

/// One answer.
#[derive(Clone, Debug)]
pub(in crate::mock) struct Turn {
    /// From the request's label or number: letters, digits, `-`, `_` and `.`.
    pub(in crate::mock) id: String,
    pub(in crate::mock) model: String,
    pub(in crate::mock) choices: u32,
    /// What each choice says.
    pub(in crate::mock) blocks: Vec<Block>,
    pub(in crate::mock) stop: Stop,
    pub(in crate::mock) usage: Usage,
    pub(in crate::mock) show: UsageMode,
}

/// One piece of what is said, in so many words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mock) struct Block {
    pub(in crate::mock) kind: Kind,
    pub(in crate::mock) words: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mock) enum Kind {
    Thought,
    /// With a citation where one is ordered.
    Text {
        cited: bool,
    },
    Refusal,
    /// A call of this function, the number of its kind, with `{"q":"WORDS"}`.
    Call {
        name: String,
        number: u32,
    },
}

/// Why it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mock) enum Stop {
    End,
    Length,
    Call,
    Refusal,
}

/// What a citation is of.
pub(in crate::mock) const CITED_URL: &str = "https://example.com/source";
pub(in crate::mock) const CITED_TITLE: &str = "Source";

// === impl Ask ===

impl Default for Ask {
    fn default() -> Self {
        Ask {
            model: "mock".into(),
            stream: false,
            text: 0,
            limit: None,
            choices: 1,
            tools: Vec::new(),
            forced: Forced::No,
            one_call: false,
            user_last: false,
        }
    }
}

impl Ask {
    /// The mock's tokens of the prompt: a quarter of its text's bytes, rounded up, at least 1.
    pub(in crate::mock) fn prompt(&self) -> u64 {
        self.text.div_ceil(4).max(1)
    }
}

// === impl Turn ===

impl Turn {
    /// The words of a block, all or some, as they stand in a JSON string.
    pub(in crate::mock) fn words(from: u64, count: u64) -> String {
        let mut out = Vec::new();
        words::append(&mut out, 0, from, count);
        String::from_utf8(out).unwrap_or_default()
    }

    /// The id of a call.
    pub(in crate::mock) fn call_id(&self, prefix: &str, number: u32) -> String {
        format!("{prefix}_{}_{number}", self.id)
    }
}

// === impl Block ===

impl Block {
    /// All its words.
    pub(in crate::mock) fn text(&self) -> String {
        Turn::words(0, self.words)
    }
}

// === impl Caller ===

impl Caller<'_> {
    /// Decides the whole answer.
    ///
    /// # Errors
    /// More is asked for than the mock says at once.
    pub(in crate::mock) fn turn(&self, ask: &Ask) -> Result<Turn, Refuse> {
        let program = self.program;
        // A limit is not a wish here: some APIs want one in every request.
        let wanted = program.tokens.map_or(WORDS, u64::from);
        let words = ask.limit.map_or(wanted, |limit| wanted.min(limit));
        let cut = words < wanted;
        let (kinds, mut stop) = self.said(ask);
        if cut {
            stop = Stop::Length;
        }
        let mut blocks = Vec::new();
        if program.reasoning > 0 {
            blocks.push(Block { kind: Kind::Thought, words: program.reasoning });
        }
        blocks.extend(kinds.into_iter().map(|kind| Block { kind, words }));
        let each: u64 = blocks.iter().map(|block| block.words).sum();
        let completion = each.saturating_mul(u64::from(ask.choices));
        if completion > MOST_WORDS {
            return Err(Refuse::bad(format!("The mock says at most {MOST_WORDS} words in one answer."), None));
        }
        let prompt = ask.prompt();
        let usage = Usage {
            prompt,
            completion,
            cached: program.cached.min(prompt),
            reasoning: program.reasoning * u64::from(ask.choices),
        };
        let model = program.model.clone().unwrap_or_else(|| ask.model.clone());
        Ok(Turn { id: self.label(), model, choices: ask.choices, blocks, stop, usage, show: program.usage })
    }

    /// What is said after the thoughts, and how that ends.
    fn said(&self, ask: &Ask) -> (Vec<Kind>, Stop) {
        let program = self.program;
        let called = match &ask.forced {
            _ if !ask.user_last => None,
            Forced::Named(name) => Some(name.clone()),
            Forced::Any => ask.tools.first().cloned(),
            Forced::No if program.tool || program.tools > 0 => ask.tools.first().cloned(),
            Forced::No | Forced::Never => None,
        };
        if program.refusal {
            return (vec![Kind::Refusal], Stop::Refusal);
        }
        let Some(first) = called else { return (vec![Kind::Text { cited: program.citations }], Stop::End) };
        let calls = if ask.one_call { 1 } else { program.tools.max(1) };
        // The first that was chosen, then the others in turns.
        let names = std::iter::once(&first).chain(ask.tools.iter().filter(|name| **name != first)).cycle();
        let call = |(number, name): (u32, &String)| Kind::Call { name: name.clone(), number };
        ((0..calls).zip(names).map(call).collect(), Stop::Call)
    }
}
