//! What is tried with every client and every target: what is asked in words of no dialect, what the mock is
//! ordered to do, and what must come of it.

use serde_json::{Value, json};
use weir::mock::words;

/// One thing to try.
#[derive(Clone)]
pub struct Case {
    pub name: &'static str,
    pub ways: Ways,
    /// What `common.py` reads.
    ask: Value,
    pub expect: Expect,
}

/// How the answer comes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ways {
    Both,
    Whole,
    Stream,
}

/// What must come of a case.
#[derive(Clone)]
pub enum Expect {
    /// An answer, and one more to the results of its calls where there are any.
    Answers(Vec<Answer>),
    /// An error with this status before anything was said.
    Error { status: u16, after: Option<&'static str> },
    /// An error of the provider's side before anything was said: a stream whose first event is one.
    ErrorFirst,
    /// Something, then an error within the stream.
    ErrorWithin,
    /// An answer that nobody can read: 502, but for a client of its own dialect, which gets it as it is.
    Unreadable,
}

/// One answer.
#[derive(Clone, Default)]
pub struct Answer {
    /// How many words it says; none where it says something else.
    pub words: Option<u64>,
    /// The tools that it calls, each with so many words.
    pub calls: Vec<(&'static str, u64)>,
    pub thoughts: u64,
    pub finish: &'static str,
    /// Tokens of the prompt that were read from a cache.
    pub cached: u64,
}

/// A picture of one pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// What the tools give back.
pub const RESULT: &str = r#"{"found": [1, 2], "note": "a \"weir\""}"#;

/// The words that the mock says.
pub fn text(count: u64) -> String {
    let mut out = Vec::new();
    words::append(&mut out, 0, 0, count);
    String::from_utf8(out).expect("the mock says ASCII")
}

// === impl Answer ===

impl Answer {
    fn says(words: u64, finish: &'static str) -> Answer {
        Answer { words: Some(words), finish, ..Answer::default() }
    }

    fn calls(calls: &[(&'static str, u64)]) -> Answer {
        Answer { calls: calls.to_vec(), finish: "tool", ..Answer::default() }
    }

    fn after(self, thoughts: u64) -> Answer {
        Answer { thoughts, ..self }
    }

    /// Tokens of the whole answer.
    pub fn output(&self) -> u64 {
        self.words.unwrap_or(0) + self.calls.iter().map(|call| call.1).sum::<u64>() + self.thoughts
    }
}

// === impl Ways ===

impl Ways {
    pub fn include(self, stream: bool) -> bool {
        match self {
            Ways::Both => true,
            Ways::Whole => !stream,
            Ways::Stream => stream,
        }
    }
}

// === impl Case ===

impl Case {
    /// The case as the scripts read it.
    pub fn plan(&self, stream: bool) -> Value {
        let mut plan = self.ask.clone();
        plan["name"] = self.name.into();
        plan["stream"] = stream.into();
        plan["result"] = RESULT.into();
        if plan.get("user").is_none() {
            plan["user"] = json!([{"text": "How high is a weir?"}]);
        }
        plan
    }

    /// The turns that it takes.
    pub fn turns(&self) -> usize {
        match &self.expect {
            Expect::Answers(answers) => answers.len(),
            _ => 1,
        }
    }
}

fn answers<const N: usize>(name: &'static str, ask: Value, answers: [Answer; N]) -> Case {
    Case { name, ways: Ways::Both, ask, expect: Expect::Answers(answers.to_vec()) }
}

fn fails(name: &'static str, ways: Ways, orders: Value, expect: Expect) -> Case {
    Case { name, ways, ask: json!({"orders": orders}), expect }
}

/// All of them.
pub fn all() -> Vec<Case> {
    [talk(), tools(), thoughts(), errors()].concat()
}

fn talk() -> Vec<Case> {
    let schema = json!({"type": "object", "properties": {"height": {"type": "number"}}, "required": ["height"],
                        "additionalProperties": false});
    vec![
        answers("chat", json!({"orders": {"x-mock-tokens": "8"}}), [Answer::says(8, "stop")]),
        answers(
            "parameters",
            json!({"system": "Be brief.", "temperature": 0.25, "top_p": 0.5, "stop": ["END"], "max": 100,
                   "orders": {"x-mock-tokens": "3"}}),
            [Answer::says(3, "stop")],
        ),
        // OpenAI's Responses take no smaller bound.
        answers("length", json!({"max": 16}), [Answer::says(16, "length")]),
        answers(
            "cached",
            json!({"orders": {"x-mock-tokens": "2", "x-mock-cached": "3"}}),
            [Answer { cached: 3, ..Answer::says(2, "stop") }],
        ),
        answers(
            "image",
            json!({"system": "You look at pictures.", "user": [{"text": "What is this?"}, {"media": "image/png", "data": PNG}],
                   "orders": {"x-mock-tokens": "2"}}),
            [Answer::says(2, "stop")],
        ),
        answers("schema", json!({"schema": schema, "orders": {"x-mock-tokens": "4"}}), [Answer::says(4, "stop")]),
    ]
}

fn tools() -> Vec<Case> {
    let two = ["look_up", "measure"];
    vec![
        answers(
            "tool",
            json!({"tools": ["look_up"], "choice": "required", "orders": {"x-mock-tool": "1", "x-mock-tokens": "4"},
                   "then": {"choice": "auto", "orders": {"x-mock-tokens": "5"}}}),
            [Answer::calls(&[("look_up", 4)]), Answer::says(5, "stop")],
        ),
        answers(
            "parallel",
            json!({"system": "Use the tools.", "tools": two, "choice": "auto",
                   "orders": {"x-mock-tools": "2", "x-mock-tokens": "3"}, "then": {"orders": {"x-mock-tokens": "2"}}}),
            [Answer::calls(&[("look_up", 3), ("measure", 3)]), Answer::says(2, "stop")],
        ),
        answers(
            "named",
            json!({"tools": two, "choice": {"name": "measure"}, "orders": {"x-mock-tokens": "3"}}),
            [Answer::calls(&[("measure", 3)])],
        ),
        answers(
            "none",
            json!({"tools": two, "choice": "none", "orders": {"x-mock-tool": "1", "x-mock-tokens": "3"}}),
            [Answer::says(3, "stop")],
        ),
    ]
}

fn thoughts() -> Vec<Case> {
    vec![
        answers(
            "reasoning",
            json!({"effort": "low", "max": 2048, "orders": {"x-mock-reasoning": "5", "x-mock-tokens": "4"}}),
            [Answer::says(4, "stop").after(5)],
        ),
        answers(
            "reasoning_tool",
            json!({"effort": "low", "max": 2048, "tools": ["look_up"], "choice": "auto",
                   "orders": {"x-mock-reasoning": "5", "x-mock-tool": "1", "x-mock-tokens": "4"},
                   "then": {"orders": {"x-mock-tokens": "3"}}}),
            [Answer::calls(&[("look_up", 4)]).after(5), Answer::says(3, "stop")],
        ),
    ]
}

fn errors() -> Vec<Case> {
    let status = |status: u16, after: Option<&'static str>| Expect::Error { status, after };
    let limited = json!({"x-mock-status": "429", "x-mock-retry-after": "7"});
    vec![
        fails("limited", Ways::Both, limited, status(429, Some("7"))),
        fails("bad", Ways::Both, json!({"x-mock-status": "400"}), status(400, None)),
        fails("denied", Ways::Whole, json!({"x-mock-status": "403"}), status(403, None)),
        fails("failed", Ways::Both, json!({"x-mock-status": "500"}), status(500, None)),
        fails("overloaded", Ways::Whole, json!({"x-mock-status": "503"}), status(503, None)),
        fails("error_first", Ways::Stream, json!({"x-mock-error-event": "0"}), Expect::ErrorFirst),
        fails(
            "error_within",
            Ways::Stream,
            json!({"x-mock-error-event": "7", "x-mock-tokens": "16"}),
            Expect::ErrorWithin,
        ),
        fails("unreadable", Ways::Whole, json!({"x-mock-malformed": "json"}), Expect::Unreadable),
    ]
}
