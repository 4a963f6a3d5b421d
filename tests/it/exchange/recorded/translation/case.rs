//! One round trip as data: what the client says, what the provider is sent and answers, what the client is told.

use serde_json::Value;
use weir::exchange::event::Event;
use weir::wire::sse;

use super::frames;
use crate::exchange::support::*;

/// One round trip.
#[derive(Clone, Debug)]
pub struct Case {
    /// The spec of the only backend, as YAML.
    pub backend: String,
    /// The model that a route sends on instead of the one that was asked for.
    pub model: Option<String>,
    /// What the client says: path, headers, body.
    pub client: Message,
    /// What the provider is sent; none where no request leaves.
    pub upstream: Option<Message>,
    /// What it answers.
    pub answer: Option<Message>,
    /// What the client is told.
    pub reply: Message,
    /// What was left out on the way.
    pub dropped: Option<Vec<String>>,
    /// Null, zero, what is empty and what is not there say the same.
    pub loose: bool,
}

/// One side of an exchange. What is none is not looked at.
#[derive(Clone, Debug, Default)]
pub struct Message {
    pub path: Option<String>,
    pub status: Option<u16>,
    /// Lower-case names. Null stands for a header that must not be there.
    pub headers: Vec<(String, Option<String>)>,
    pub body: Option<Body>,
}

/// A body in each of the forms that it has on the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    Json(Value),
    /// Anything that is no JSON.
    Text(String),
    /// Server-sent events: the name and what is said, which is JSON or, as `[DONE]`, a text.
    Events(Vec<(Option<String>, Value)>),
    /// Messages of an AWS event stream: the type and the payload.
    Frames(Vec<(String, Value)>),
    /// JSON, a value a line.
    Lines(Vec<Value>),
}

// === impl Case ===

impl Case {
    /// Reads a file of `tests/golden/translation`.
    pub fn read(name: &str, text: &str) -> Case {
        let file: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let known = ["what", "backend", "model", "client", "upstream", "answer", "reply", "dropped"];
        for key in file.as_object().expect("an object").keys() {
            assert!(known.contains(&key.as_str()), "{name}: what is {key}?");
        }
        let message = |key: &str| file.get(key).map(|message| Message::read(&format!("{name}: {key}"), message));
        let words = |value: &Value| value.as_str().expect("text").to_owned();
        Case {
            backend: words(&file["backend"]),
            model: file.get("model").map(words),
            client: message("client").expect("what the client says"),
            upstream: message("upstream"),
            answer: message("answer"),
            reply: message("reply").expect("what the client is told"),
            loose: false,
            dropped: file.get("dropped").map(|list| list.as_array().expect("a list").iter().map(words).collect()),
        }
    }
}

// === impl Message ===

impl Message {
    fn read(place: &str, message: &Value) -> Message {
        let mut out = Message::default();
        for (key, value) in message.as_object().unwrap_or_else(|| panic!("{place}: no object")) {
            match key.as_str() {
                "path" => out.path = value.as_str().map(str::to_owned),
                "status" => out.status = value.as_u64().and_then(|status| u16::try_from(status).ok()),
                "headers" => {
                    let list = value.as_object().expect("headers").iter();
                    out.headers = list.map(|(name, value)| (name.clone(), value.as_str().map(str::to_owned))).collect();
                }
                form => out.body = Some(Body::read(place, form, value)),
            }
        }
        out
    }

    /// Its headers over these.
    fn listed<'a>(&'a self, usual: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref().unwrap_or_default()));
        let usual = usual.iter().filter(|(name, _)| !self.headers.iter().any(|(own, _)| own == name));
        usual.copied().chain(own).collect()
    }

    /// What is wrong with what was seen: a status or path, headers, a body.
    pub fn differs(
        &self,
        path: &str,
        status: u16,
        header: impl Fn(&str) -> Option<String>,
        bytes: &[u8],
        loose: bool,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        // The other implementation's cases have no queries.
        let bare = path.split('?').next().unwrap_or(path);
        if self.path.as_deref().is_some_and(|wanted| wanted != path && !(loose && wanted == bare)) {
            wrong.push(format!("path: {path}, not {:?}", self.path));
        }
        if self.status.is_some_and(|wanted| wanted != status) {
            wrong.push(format!("status: {status}, not {:?}", self.status));
        }
        for (name, wanted) in &self.headers {
            let got = header(name);
            if got != *wanted {
                wrong.push(format!("{name}: {got:?}, not {wanted:?}"));
            }
        }
        if let Some(wanted) = &self.body {
            wanted.differs(bytes, loose, &mut wrong);
        }
        wrong
    }
}

// === impl Body ===

impl Body {
    fn read(place: &str, form: &str, value: &Value) -> Body {
        let list = || value.as_array().unwrap_or_else(|| panic!("{place}: no list")).iter();
        let pair = |pair: &Value| (pair[0].as_str().map(str::to_owned), pair[1].clone());
        match form {
            "json" => Body::Json(value.clone()),
            "text" => Body::Text(value.as_str().expect("text").to_owned()),
            "events" => Body::Events(list().map(pair).collect()),
            "frames" => Body::Frames(list().map(pair).map(|(kind, data)| (kind.expect("a type"), data)).collect()),
            "lines" => Body::Lines(list().cloned().collect()),
            other => panic!("{place}: what is {other}?"),
        }
    }

    /// As it stands on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match self {
            Body::Json(value) => value.to_string().into_bytes(),
            Body::Text(text) => text.clone().into_bytes(),
            Body::Lines(lines) => lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect(),
            Body::Frames(all) => all.iter().flat_map(|(kind, data)| frames::frame(kind, &data.to_string())).collect(),
            Body::Events(events) => {
                let mut out = Vec::new();
                events.iter().for_each(|(name, data)| sse::write(&mut out, name.as_deref(), plain(data).as_bytes()));
                out
            }
        }
    }

    /// What a body of this form is called in a header.
    pub fn kind(&self) -> &'static str {
        match self {
            Body::Json(_) => "application/json",
            Body::Text(_) => "text/plain",
            Body::Events(_) => "text/event-stream",
            Body::Frames(_) => "application/vnd.amazon.eventstream",
            Body::Lines(_) => "application/x-ndjson",
        }
    }

    fn differs(&self, bytes: &[u8], loose: bool, wrong: &mut Vec<String>) {
        let got = match Body::seen(self, bytes) {
            Ok(got) => {
                if loose {
                    got.pruned()
                } else {
                    got
                }
            }
            Err(error) => return wrong.push(format!("{error}: {}", String::from_utf8_lossy(bytes))),
        };
        match (self, &got) {
            (Body::Json(wanted), Body::Json(got)) => compare("", wanted, got, wrong),
            (Body::Events(wanted), Body::Events(got)) => listed(wanted, got, wrong),
            (Body::Frames(wanted), Body::Frames(got)) => listed(wanted, got, wrong),
            (Body::Lines(wanted), Body::Lines(got)) => {
                let pairs = |all: &[Value]| all.iter().map(|value| ((), value.clone())).collect::<Vec<_>>();
                listed(&pairs(wanted), &pairs(got), wrong);
            }
            (wanted, got) if wanted == got => {}
            (wanted, got) => wrong.push(format!("body: {got:?}, not {wanted:?}")),
        }
    }

    /// Without what says nothing.
    pub fn pruned(self) -> Body {
        match self {
            Body::Json(value) => Body::Json(pruned(value)),
            Body::Events(all) => Body::Events(all.into_iter().map(|(name, data)| (name, pruned(data))).collect()),
            other => other,
        }
    }

    /// These bytes in the form of `like`.
    fn seen(like: &Body, bytes: &[u8]) -> Result<Body, String> {
        let text = || String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string());
        let json = |text: &[u8]| serde_json::from_slice::<Value>(text).map_err(|error| error.to_string());
        Ok(match like {
            Body::Json(_) => Body::Json(json(bytes)?),
            Body::Text(_) => Body::Text(text()?),
            Body::Lines(_) => Body::Lines(text()?.lines().map(|line| json(line.as_bytes())).collect::<Result<_, _>>()?),
            Body::Frames(_) => Body::Frames(frames::read(bytes)?),
            Body::Events(_) => Body::Events(events(bytes)?),
        })
    }
}

fn events(stream: &[u8]) -> Result<Vec<(Option<String>, Value)>, String> {
    let mut out = Vec::new();
    let text = std::str::from_utf8(stream).map_err(|error| error.to_string())?;
    if !text.ends_with("\n\n") {
        return Err("the last event has no end".to_owned());
    }
    for block in text.split("\n\n").filter(|block| !block.is_empty()) {
        let (mut name, mut data) = (None, Vec::new());
        for line in block.split('\n') {
            match line.split_once(": ") {
                Some(("event", value)) => name = Some(value.to_owned()),
                Some(("data", value)) => data.push(value),
                // A comment is for nobody.
                Some(("", _)) => {}
                _ => return Err(format!("a line that is neither event nor data: {line:?}")),
            }
        }
        let data = data.join("\n");
        if data.is_empty() {
            continue;
        }
        let value = if data == "[DONE]" {
            Value::from(data)
        } else {
            serde_json::from_str(&data).map_err(|e| e.to_string())?
        };
        out.push((name, value));
    }
    Ok(out)
}

fn listed<N: PartialEq + std::fmt::Debug>(wanted: &[(N, Value)], got: &[(N, Value)], wrong: &mut Vec<String>) {
    for (at, (wanted, got)) in wanted.iter().zip(got).enumerate() {
        if wanted.0 != got.0 {
            wrong.push(format!("[{at}] is {:?}, not {:?}", got.0, wanted.0));
        }
        compare(&format!("[{at}]"), &wanted.1, &got.1, wrong);
    }
    if wanted.len() != got.len() {
        let (more, less) = if wanted.len() > got.len() { (wanted, got.len()) } else { (got, wanted.len()) };
        let rest: Vec<String> = more[less..].iter().map(|(_, value)| value.to_string()).collect();
        wrong.push(format!("{} entries, not {}; the rest is {}", got.len(), wanted.len(), rest.join(" ")));
    }
}

/// Without null, zero and what is empty, for those to whom they say what is not there.
pub fn pruned(value: Value) -> Value {
    let empty = |value: &Value| match value {
        Value::Object(map) => map.is_empty(),
        value => value.is_null() || *value == 0 || *value == "",
    };
    match value {
        Value::Object(map) => {
            let map = map.into_iter().map(|(key, value)| (key, pruned(value)));
            Value::Object(map.filter(|(_, value)| !empty(value)).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(pruned).collect()),
        other => other,
    }
}

/// What stands for any text that is not empty, and any number.
const ANY: &str = "<any>";

/// Compares two values; the order of members does not matter.
pub fn compare(place: &str, wanted: &Value, got: &Value, wrong: &mut Vec<String>) {
    match (wanted, got) {
        (Value::String(any), Value::String(got)) if any == ANY && !got.is_empty() => {}
        (Value::String(any), Value::Number(_)) if any == ANY => {}
        (Value::Object(wanted), Value::Object(got)) => {
            for (key, value) in wanted {
                match got.get(key) {
                    Some(got) => compare(&format!("{place}.{key}"), value, got, wrong),
                    None => wrong.push(format!("{place}.{key} is missing: {value}")),
                }
            }
            for (key, value) in got.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
                wrong.push(format!("{place}.{key} is too much: {value}"));
            }
        }
        (Value::Array(wanted), Value::Array(got)) if wanted.len() == got.len() => {
            for (at, (wanted, got)) in wanted.iter().zip(got).enumerate() {
                compare(&format!("{place}[{at}]"), wanted, got, wrong);
            }
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        (wanted, got) if wanted == got => {}
        (wanted, got) => wrong.push(format!("{place}: {got}, not {wanted}")),
    }
}

/// Runs the round trip through an exchange and says what was other than told.
pub fn run(case: &Case) -> Vec<String> {
    let mut world = match super::policy_of(&case.backend, case.model.as_deref()) {
        Ok(policy) => World::new(policy),
        Err(error) => return vec![error],
    };
    let body = case.client.body.as_ref().map(Body::bytes).unwrap_or_default();
    let own = [("content-type", "application/json"), ("authorization", "Bearer dummy")];
    let head = request("POST", case.client.path.as_deref().expect("a path"), &case.client.listed(&own));
    world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(body), true));
    let mut wrong = Vec::new();
    if let Some(upstream) = &case.upstream {
        let path = world.upstream_header(":path").unwrap_or_default().to_owned();
        let header = |name: &str| world.upstream_header(name).map(str::to_owned);
        let seen = upstream.differs(&path, 0, header, &world.envoy.upstream.body, case.loose);
        wrong.extend(seen.into_iter().map(|what| format!("upstream: {what}")));
    } else if world.envoy.upstream.began {
        wrong.push("a request left".to_owned());
    }
    if let Some(answer) = case.answer.as_ref().filter(|_| world.envoy.upstream.began) {
        let body = answer.body.as_ref();
        let kind = [("content-type", body.map_or("text/plain", Body::kind))];
        let head = response(answer.status.unwrap_or(200), &answer.listed(&kind));
        world.reply(head, body.map(Body::bytes).unwrap_or_default());
    }
    world.end();
    let client = &world.envoy.client;
    let header = |name: &str| world.client_header(name).map(str::to_owned);
    let told = case.reply.differs("", client.status, header, &client.body, case.loose);
    wrong.extend(told.into_iter().map(|what| format!("reply: {what}")));
    let dropped = dropped(&world);
    if case.dropped.as_ref().is_some_and(|wanted| wanted.join(", ") != dropped) {
        wrong.push(format!("dropped: {dropped:?}, not {:?}", case.dropped));
    }
    wrong
}

/// What the record says was left out.
fn dropped(world: &World) -> String {
    let decisions = world.record().decisions.iter().filter(|decision| decision.outcome == "dropped");
    decisions.map(|decision| decision.detail.to_string()).collect::<Vec<_>>().join(", ")
}
