//! A completion as server-sent events, one event at a time: each is made when it is asked for, so that
//! a stream of a million tokens needs no memory and an abort costs nothing.
//!
//! The order is OpenAI's: for each choice its role, then the words of all choices in turns, then for
//! each choice its finish, then the usage chunk (when wanted), then `[DONE]`.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::body::Event;
use super::program::{Malformed, Program};
use super::reply::{CREATED, Kind, Reply, Show};
use super::words::{self, WORD_BYTES};

/// The events of one stream.
pub(super) struct Script {
    reply: Reply,
    /// Every chunk up to the bracket that opens `choices`.
    prefix: Vec<u8>,
    /// What closes `choices` and the chunk, up to the line end.
    suffix: &'static str,
    line_end: &'static str,
    comment: bool,
    stamp: bool,
    final_newline: bool,
    chunk_words: u64,
    /// Chunks of the words of one text or call.
    chunks: u64,
    /// Chunks of one choice; with calls also what stands before and after the words of each.
    rounds: u64,
    /// Number of the event that is broken.
    broken_at: Option<u64>,
    /// Number of the event that is an error, and the last.
    error_at: Option<u64>,
    at: u64,
    total: u64,
}

/// One event before it is written.
#[derive(Clone, Copy)]
enum Item {
    Role(u32),
    Words {
        choice: u32,
        call: usize,
        from: u64,
        count: u64,
    },
    /// What stands before the words of a call's argument.
    Open(u32, usize),
    /// What stands after them.
    Close(u32, usize),
    Finish(u32),
    Usage,
    Done,
    Broken,
    Error,
}

// === impl Script ===

impl Script {
    /// Plans the stream of `reply`, whose usage chunk is sent unless `reply.show` says nothing.
    pub(super) fn new(reply: Reply, program: &Program) -> Script {
        let chunk_words = match program.chunks {
            Some(chunks) => reply.words.div_ceil(u64::from(chunks)).max(1),
            None => u64::from(program.chunk_tokens.max(1)),
        };
        let chunks = reply.words.div_ceil(chunk_words);
        let rounds = if reply.calls.is_empty() { chunks } else { (chunks + 2) * reply.calls.len() as u64 };
        let choices = u64::from(reply.choices);
        let roles = if reply.kind == Kind::Chat { choices } else { 0 };
        let ends = u64::from(reply.show != Show::Nothing) + u64::from(!program.no_done);
        let broken_at = (program.malformed == Some(Malformed::Frame)).then(|| roles + rounds * choices / 2);
        let mut total = roles + rounds * choices + choices + ends + u64::from(broken_at.is_some());
        let error_at = program.error_event.map(u64::from).filter(|at| *at < total);
        if let Some(at) = error_at {
            total = at + 1;
        }
        Script {
            prefix: prefix(&reply),
            suffix: if reply.show == Show::Nothing { "]}" } else { "],\"usage\":null}" },
            line_end: program.line_end,
            comment: program.comment,
            stamp: program.stamp,
            final_newline: program.final_newline,
            reply,
            chunk_words,
            chunks,
            rounds,
            broken_at,
            error_at,
            at: 0,
            total,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.at >= self.total
    }

    /// True when the stream ends with an error event.
    pub(super) fn fails(&self) -> bool {
        self.error_at.is_some()
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        if self.is_done() {
            return None;
        }
        let item = self.item();
        // The first chunk carries what was thought before it.
        let thought = if self.at == 0 && !matches!(item, Item::Error) { self.reply.usage.reasoning } else { 0 };
        self.at += 1;
        let said = if let Item::Words { count, .. } = item { count } else { 0 };
        Some(Event { bytes: self.write(item), tokens: thought + said })
    }

    /// What event number `self.at` is.
    fn item(&self) -> Item {
        if self.error_at == Some(self.at) {
            return Item::Error;
        }
        let mut at = self.at;
        if let Some(broken) = self.broken_at.filter(|broken| *broken <= at) {
            if broken == at {
                return Item::Broken;
            }
            at -= 1;
        }
        let choices = u64::from(self.reply.choices);
        let choice_of = |at: u64| u32::try_from(at % choices).unwrap_or(0);
        if self.reply.kind == Kind::Chat {
            if at < choices {
                return Item::Role(choice_of(at));
            }
            at -= choices;
        }
        if at < self.rounds * choices {
            return self.round(at / choices, choice_of(at));
        }
        at -= self.rounds * choices;
        if at < choices {
            return Item::Finish(choice_of(at));
        }
        if at == choices && self.reply.show != Show::Nothing { Item::Usage } else { Item::Done }
    }

    /// What a choice says in one round.
    fn round(&self, round: u64, choice: u32) -> Item {
        let (call, round) = match self.reply.calls.is_empty() {
            true => (0, round),
            false => (usize::try_from(round / (self.chunks + 2)).unwrap_or(0), round % (self.chunks + 2)),
        };
        let chunk = match self.reply.calls.is_empty() {
            true => round,
            false if round == 0 => return Item::Open(choice, call),
            false if round > self.chunks => return Item::Close(choice, call),
            false => round - 1,
        };
        let from = chunk * self.chunk_words;
        Item::Words { choice, call, from, count: self.chunk_words.min(self.reply.words - from) }
    }

    fn write(&self, item: Item) -> Bytes {
        let words = if let Item::Words { count, .. } = item { usize::try_from(count).unwrap_or(0) } else { 64 };
        let mut out = Vec::with_capacity(self.prefix.len() + 160 + words * WORD_BYTES);
        if self.comment {
            let _ = write!(out, ": ping{0}{0}", self.line_end);
        }
        match item {
            Item::Done => out.extend_from_slice(b"data: [DONE]"),
            Item::Broken => self.open(&mut out),
            Item::Error => out.extend_from_slice(ERROR),
            Item::Usage => {
                self.open(&mut out);
                out.extend_from_slice(b"],\"usage\":");
                self.reply.write_usage(&mut out, false);
                out.push(b'}');
            }
            _ => {
                self.open(&mut out);
                match self.reply.kind {
                    Kind::Chat => self.delta(&mut out, item),
                    Kind::Text => self.text(&mut out, item),
                }
                out.extend_from_slice(self.suffix.as_bytes());
            }
        }
        if self.final_newline || !self.is_done() {
            let _ = write!(out, "{0}{0}", self.line_end);
        }
        Bytes::from(out)
    }

    /// A chunk up to its `choices`, with the time where it was ordered.
    fn open(&self, out: &mut Vec<u8>) {
        let Some(rest) = self.prefix.strip_prefix(OPENING).filter(|_| self.stamp) else {
            return out.extend_from_slice(&self.prefix);
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        out.extend_from_slice(OPENING);
        let _ = write!(out, r#""sent_ns":{},"#, now.as_nanos());
        out.extend_from_slice(rest);
    }

    /// The one element of a chat chunk's `choices`.
    fn delta(&self, out: &mut Vec<u8>, item: Item) {
        let (choice, call) = match item {
            Item::Role(choice) | Item::Finish(choice) => (choice, 0),
            Item::Words { choice, call, .. } | Item::Open(choice, call) | Item::Close(choice, call) => (choice, call),
            Item::Usage | Item::Done | Item::Broken | Item::Error => return,
        };
        let _ = write!(out, r#"{{"index":{choice},"delta":{{"#);
        let after = match item {
            Item::Role(_) | Item::Finish(_) => "",
            // The first call is named with the role.
            Item::Open(..) if call > 0 => {
                self.call(out, choice, call);
                r#"}}]"#
            }
            _ if !self.reply.calls.is_empty() => {
                let _ = write!(out, r#""tool_calls":[{{"index":{call},"function":{{"arguments":""#);
                r#""}}]"#
            }
            _ => {
                let field = if self.reply.refusal { "refusal" } else { "content" };
                let _ = write!(out, r#""{field}":""#);
                r#"""#
            }
        };
        match item {
            Item::Role(_) => self.role(out, choice),
            Item::Words { from, count, .. } => words::append(out, choice, from, count),
            Item::Open(..) if call > 0 => out.extend_from_slice(br#""arguments":"{\"q\":\"""#),
            Item::Open(..) => out.extend_from_slice(br#"{\"q\":\""#),
            Item::Close(..) => out.extend_from_slice(br#"\"}"#),
            Item::Finish(_) if self.reply.cited => {
                let _ = write!(out, r#""annotations":{}"#, self.reply.annotations());
            }
            _ => {}
        }
        out.extend_from_slice(after.as_bytes());
        let _ = match item {
            Item::Finish(_) => write!(out, r#"}},"logprobs":null,"finish_reason":"{}"}}"#, self.reply.finish),
            _ => write!(out, r#"}},"logprobs":null,"finish_reason":null}}"#),
        };
    }

    /// A call up to its arguments.
    fn call(&self, out: &mut Vec<u8>, choice: u32, call: usize) {
        let (id, name) = (self.reply.call_id(choice, call), self.reply.calls.get(call).map_or("", String::as_str));
        let _ =
            write!(out, r#""tool_calls":[{{"index":{call},"id":"{id}","type":"function","function":{{"name":{name},"#);
    }

    fn role(&self, out: &mut Vec<u8>, choice: u32) {
        if self.reply.calls.is_empty() {
            let content = if self.reply.refusal { "null" } else { r#""""# };
            let _ = write!(out, r#""role":"assistant","content":{content},"refusal":null"#);
            return;
        }
        out.extend_from_slice(br#""role":"assistant","content":null,"#);
        self.call(out, choice, 0);
        out.extend_from_slice(br#""arguments":""}}],"refusal":null"#);
    }

    /// The one element of a text chunk's `choices`.
    fn text(&self, out: &mut Vec<u8>, item: Item) {
        out.extend_from_slice(br#"{"text":""#);
        let (choice, finish) = match item {
            Item::Words { choice, from, count, .. } => {
                words::append(out, choice, from, count);
                (choice, None)
            }
            Item::Finish(choice) => (choice, Some(self.reply.finish)),
            _ => (0, None),
        };
        let _ = match finish {
            Some(finish) => write!(out, r#"","index":{choice},"logprobs":null,"finish_reason":"{finish}"}}"#),
            None => write!(out, r#"","index":{choice},"logprobs":null,"finish_reason":null}}"#),
        };
    }
}

const ERROR: &[u8] = br#"data: {"error":{"message":"The server had an error while processing your request. Sorry about that!","type":"server_error","param":null,"code":"server_error"}}"#;

/// How every chunk begins.
const OPENING: &[u8] = b"data: {";

fn prefix(reply: &Reply) -> Vec<u8> {
    let (id, model) = (&reply.id, &reply.model);
    match reply.kind {
        Kind::Chat => format!(
            r#"data: {{"id":"{id}","object":"chat.completion.chunk","created":{CREATED},"model":{model},"service_tier":"default","system_fingerprint":"fp_mock","choices":["#
        ),
        Kind::Text => format!(
            r#"data: {{"id":"{id}","object":"text_completion","created":{CREATED},"model":{model},"choices":["#
        ),
    }
    .into_bytes()
}
