//! A scripted world around one exchange: policies to start from, a clock that only a test moves, answers
//! from a list, and a check of every rule after every event.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use weir::base::now::{Instant, Now};
use weir::exchange::event::{Action, Answer, Ask, Event, Headers, Note, RequestHead, ResponseHead, Slot, Stop};
use weir::exchange::phase::BodyMode;
use weir::exchange::record::{Record, Timings};
use weir::exchange::{Exchange, Setup};
use weir::limit::Settle;
use weir::limit::memory::Memory;
use weir::limit::window::Time;
use weir::llm::Usage;
use weir::policy::Policy;
use weir::tokens::Learned;

pub use super::bodies::*;
use super::envoy::Envoy;
pub use super::policies::*;

pub const CHAT: &str = "/v1/chat/completions";
pub const EPOCH: u64 = 1_700_000_000_000_000_000;

/// One exchange, its host and its proxy.
pub struct World {
    pub exchange: Exchange,
    pub envoy: Envoy,
    pub policy: Arc<Policy>,
    pub learned: Arc<Learned>,
    /// Answers to gates, in order; a gate for which there is none stays open.
    pub gates: VecDeque<Answer>,
    pub side: Option<Answer>,
    /// Answers what limits ask, where it is there and the list has nothing; it is settled by hand.
    pub store: Option<Memory>,
    /// What a prompt has, where the store answers.
    pub tokens: u64,
    pub clock: Duration,
    /// Everything that happened, for golden transcripts.
    pub actions: Vec<Action>,
    pub asks: Vec<Ask>,
    pub wake: Option<Instant>,
    /// The original of the call that has left.
    pub kept: Option<Bytes>,
    pub gate_open: bool,
    side_open: bool,
    gone: bool,
    /// Nothing can be said to the proxy any more.
    left: bool,
    granted: Vec<u128>,
    /// Called with every event and every action.
    pub transcript: Option<super::golden::Transcript>,
}

pub fn bytes(data: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(data.as_ref())
}

pub fn headers(list: &[(&str, &str)]) -> Headers {
    list.iter().copied().collect()
}

pub fn request(method: &str, path: &str, list: &[(&str, &str)]) -> RequestHead {
    RequestHead {
        method: method.to_owned(),
        path: path.to_owned(),
        authority: "llm.internal".to_owned(),
        headers: headers(list),
        ..RequestHead::default()
    }
}

pub fn post(path: &str) -> RequestHead {
    request("POST", path, &[("content-type", "application/json"), ("authorization", "Bearer dummy")])
}

pub fn response(status: u16, list: &[(&str, &str)]) -> ResponseHead {
    ResponseHead { status, headers: headers(list) }
}

pub fn json() -> ResponseHead {
    response(200, &[("content-type", "application/json")])
}

pub fn sse() -> ResponseHead {
    response(200, &[("content-type", "text/event-stream")])
}

/// A chat request; `stream` as it stands in the body.
pub fn chat(stream: bool) -> String {
    match stream {
        true => r#"{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"hi"}]}"#.to_owned(),
        false => r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}"#.to_owned(),
    }
}

// === impl World ===

impl World {
    pub fn new(policy: Policy) -> World {
        World::in_mode(policy, BodyMode::FullDuplex)
    }

    pub fn in_mode(policy: Policy, mode: BodyMode) -> World {
        let (policy, learned) = (Arc::new(policy), Arc::new(Learned::new()));
        let (id, health) = ("req-1".into(), Arc::default());
        let setup = Setup { id, policy: policy.clone(), learned: learned.clone(), health, mode, draw: 7 };
        World {
            exchange: Exchange::new(setup),
            learned,
            envoy: Envoy::new(mode),
            policy,
            gates: VecDeque::new(),
            side: None,
            store: None,
            tokens: 9,
            clock: Duration::ZERO,
            actions: Vec::new(),
            asks: Vec::new(),
            wake: None,
            kept: None,
            gate_open: false,
            side_open: false,
            gone: false,
            left: false,
            granted: Vec::new(),
            transcript: None,
        }
    }

    pub fn answers(mut self, answers: impl IntoIterator<Item = Answer>) -> World {
        self.gates.extend(answers);
        self
    }

    /// Delivers an event, then the answers that the script has to what it asks.
    pub fn send(&mut self, event: Event) -> &mut World {
        for event in self.envoy.parts(event) {
            self.deliver_all(event);
        }
        self
    }

    fn deliver_all(&mut self, event: Event) {
        self.deliver(event);
        loop {
            if self.gate_open && !self.gone && !self.gates.is_empty() {
                let answer = self.gates.pop_front().expect("it is not empty");
                self.deliver(Event::Answer(Slot::Gate, answer));
            } else if self.side_open && !self.gone && self.side.is_some() {
                let answer = self.side.take().expect("it is there");
                self.deliver(Event::Answer(Slot::Side, answer));
            } else if (self.gate_open || self.side_open) && !self.gone && self.store.is_some() {
                let slot = if self.gate_open { Slot::Gate } else { Slot::Side };
                let answer = self.look_up();
                self.deliver(Event::Answer(slot, answer));
            } else {
                return;
            }
        }
    }

    /// What the store says to the last question.
    fn look_up(&mut self) -> Answer {
        let time = self.time();
        match (self.asks.last(), &self.store) {
            (Some(Ask::Reserve(ask)), Some(store)) => {
                let id = 1_000 + self.asks.len() as u128;
                Answer::Reserve(store.reserve(id, &ask.takes, time))
            }
            (Some(Ask::Count { .. }), _) => Answer::Count(self.tokens),
            (Some(Ask::Judge(_)), _) => Answer::Judge(weir::guard::Verdict::Pass),
            (ask, _) => panic!("{ask:?} is not asked of a store"),
        }
    }

    /// The time of the store.
    pub fn time(&self) -> Time {
        let steady = EPOCH + u64::try_from(self.clock.as_nanos()).unwrap_or(0);
        Time { steady, unix: steady / 1_000_000_000 }
    }

    fn deliver(&mut self, mut event: Event) {
        if let Event::Attempt(attempt) = &mut event {
            attempt.original = self.kept.clone();
        }
        if let Some(transcript) = &mut self.transcript {
            transcript.event(&event);
        }
        match &event {
            Event::Answer(slot, answer) => {
                match slot {
                    Slot::Gate => self.gate_open = false,
                    Slot::Side => self.side_open = false,
                }
                if let (Answer::Reserve(Ok(grant)), false) = (answer, self.gone) {
                    self.granted.push(grant.id);
                }
            }
            // What the proxy still says to one that has left is no part of the model.
            _ if self.left => {}
            event => self.envoy.event(event),
        }
        let gone = event == Event::Gone;
        self.left |= event == Event::Stop(Stop::Leave);
        let now = Now {
            mono: Instant(u64::try_from(self.clock.as_nanos()).unwrap_or(u64::MAX)),
            unix_nanos: EPOCH + u64::try_from(self.clock.as_nanos()).unwrap_or(0),
        };
        let mut out = Vec::new();
        self.exchange.on(event, now, &mut out);
        assert!(!self.gone || out.is_empty(), "actions after Gone: {out:?}");
        self.gone |= gone;
        assert_eq!(self.exchange.faults(), 0, "the phase table forbade an action");
        out.into_iter().for_each(|action| self.act(action));
        // What came is answered when it is known what goes on of it.
        if !self.gone && !self.left && !self.exchange.is_waiting_for_more() {
            self.envoy.settle();
        }
    }

    fn act(&mut self, action: Action) {
        if let Some(transcript) = &mut self.transcript {
            transcript.action(&action);
        }
        assert!(!self.gone || matches!(action, Action::Note(_)), "nobody hears {action:?} any more");
        match &action {
            Action::Ask(Slot::Gate, ask) => {
                assert!(!std::mem::replace(&mut self.gate_open, true), "a second gate");
                self.asks.push(ask.clone());
            }
            Action::Ask(Slot::Side, ask) => {
                assert!(!std::mem::replace(&mut self.side_open, true), "a second side question");
                self.asks.push(ask.clone());
            }
            Action::Wake(at) => self.wake = Some(*at),
            Action::Keep(original) => {
                assert!(self.kept.replace(original.clone()).is_none(), "a second original");
            }
            _ => {}
        }
        self.envoy.act(action.clone());
        self.actions.push(action);
    }

    /// Lets time pass; a wake-up that is due is delivered.
    pub fn wait(&mut self, time: Duration) -> &mut World {
        self.clock += time;
        if self.wake.is_some_and(|at| u128::from(at.0) <= self.clock.as_nanos()) {
            self.wake = None;
            self.send(Event::Tick);
        }
        self
    }

    pub fn call(&mut self, path: &str, body: impl AsRef<[u8]>) -> &mut World {
        self.send(Event::Request(post(path), false)).send(Event::RequestBody(bytes(body), true))
    }

    pub fn reply(&mut self, head: ResponseHead, body: impl AsRef<[u8]>) -> &mut World {
        self.send(Event::Response(head, false)).send(Event::Chunk(bytes(body), true))
    }

    /// Ends the exchange and checks what must hold of every whole one.
    pub fn end(&mut self) -> &mut World {
        self.send(Event::Gone);
        let ids = |settle: &&Settle| {
            let more = settle.grant.taken.iter().map(|taken| taken.grant);
            more.chain([settle.grant.id]).collect::<BTreeSet<u128>>()
        };
        let mut settled: Vec<u128> = self.settles().iter().flat_map(ids).collect();
        let mut granted = self.granted.clone();
        settled.sort_unstable();
        granted.sort_unstable();
        assert_eq!(granted, settled, "granted and settled");
        let left = self.actions.iter().any(|action| {
            use Action::{Emit, Forward, Head, Open, Pass, Respond};
            matches!(action, Forward { .. } | Pass(_) | Respond(_) | Open(_) | Head(_) | Emit { .. })
        });
        let records = self.records().len();
        assert!(if left { records == 1 } else { records <= 1 }, "{records} records, left: {left}");
        self.envoy.finish();
        self
    }

    pub fn notes(&self) -> Vec<&Note> {
        self.actions.iter().filter_map(note).collect()
    }

    pub fn records(&self) -> Vec<&Record> {
        self.notes().into_iter().filter_map(record).collect()
    }

    pub fn record(&self) -> &Record {
        self.records().first().expect("a record")
    }

    pub fn settles(&self) -> Vec<&Settle> {
        self.notes().into_iter().filter_map(settle).collect()
    }

    /// Notes without what depends on when and in how many pieces bytes came.
    pub fn timeless_notes(&self) -> Vec<Note> {
        let timeless = |note: &Note| match note {
            Note::Record(record) => {
                let timings = Timings::default();
                Note::Record(Box::new(Record { timings, duration: Duration::ZERO, ..(**record).clone() }))
            }
            other => other.clone(),
        };
        self.notes().into_iter().map(timeless).collect()
    }

    /// What the client got, as text.
    pub fn client(&self) -> String {
        String::from_utf8_lossy(&self.envoy.client.body).into_owned()
    }

    /// What the upstream got, as text.
    pub fn upstream(&self) -> String {
        String::from_utf8_lossy(&self.envoy.upstream.body).into_owned()
    }

    /// The client's error, as `(status, code)`.
    pub fn refused(&self) -> (u16, String) {
        let value: serde_json::Value = serde_json::from_slice(&self.envoy.client.body).expect("an error as JSON");
        (self.envoy.client.status, value["error"]["code"].as_str().expect("a code").to_owned())
    }

    pub fn upstream_header(&self, name: &str) -> Option<&str> {
        get(&self.envoy.upstream.headers, name)
    }

    pub fn client_header(&self, name: &str) -> Option<&str> {
        get(&self.envoy.client.headers, name)
    }
}

fn note(action: &Action) -> Option<&Note> {
    match action {
        Action::Note(note) => Some(note),
        _ => None,
    }
}

fn record(note: &Note) -> Option<&Record> {
    match note {
        Note::Record(record) => Some(record),
        _ => None,
    }
}

fn settle(note: &Note) -> Option<&Settle> {
    match note {
        Note::Settle(settle) => Some(settle),
        _ => None,
    }
}

fn get<'a>(headers: &'a BTreeMap<String, Vec<u8>>, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| std::str::from_utf8(value).ok())
}

/// Plain input and output tokens.
pub fn usage(input: u64, output: u64) -> Usage {
    Usage { input, output, ..Usage::default() }
}
