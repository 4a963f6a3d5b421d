//! What a rule makes of a call, written a second time: over parsed JSON, and without any bytes.

use serde_json::{Map, Value, json};

use super::nested::{CONVERSE, GEMINI};
use super::*;

/// A rule as the reference reads it.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub parameters: Vec<(&'static str, u8, Value)>,
    pub most: Option<u64>,
    pub before: Vec<Message>,
    pub behind: Vec<Message>,
}

// === impl Wanted ===

impl Wanted {
    pub fn changes(&self) -> Changes {
        let parameters = self.parameters.iter().map(|(name, kind, value)| {
            let json = value.to_string().into_bytes();
            let action =
                [Action::Default(json.clone()), Action::Override(json), Action::Remove][usize::from(*kind)].clone();
            Parameter { name: (*name).into(), action }
        });
        let prompt = Prompt::new(&self.before, &self.behind);
        Changes { parameters: parameters.collect(), max_output: self.most, prompt }
    }

    /// The expected value; none where the call must be refused.
    pub fn apply(&self, call: Call, mut body: Map<String, Value>) -> Option<Value> {
        let counts = call.1 == Operation::CountTokens;
        if !counts && matches!(call.0, Dialect::Gemini | Dialect::Bedrock) {
            self.nested(call, &mut body)?;
        } else if !counts {
            for (name, kind, value) in &self.parameters {
                match kind {
                    0 => drop(body.entry(*name).or_insert(value.clone())),
                    1 => drop(body.insert((*name).into(), value.clone())),
                    _ => drop(body.shift_remove(*name)),
                }
            }
            if let Some(most) = self.most {
                bound(call, most, &mut body)?;
            }
        }
        let system = spoken;
        let all = |all: &[Message]| all.iter().map(|message| message.content.clone()).collect::<Vec<_>>();
        let turns = |all: &[Message], some: bool| -> Vec<Value> {
            let kept = all.iter().filter(|message| some || matches!(message.role, Role::User | Role::Assistant));
            kept.map(|message| json!({"role": message.role.as_str(), "content": message.content})).collect()
        };
        let (before, behind) = (&self.before[..], &self.behind[..]);
        match call {
            CHAT => list(&mut body, "messages", turns(before, true), turns(behind, true))?,
            MESSAGES | COUNT => {
                if body.get("system").is_some_and(Value::is_array) {
                    let block = |text: String| json!({"type": "text", "text": text});
                    let blocks = |all| system(all).into_iter().map(block).collect();
                    list(&mut body, "system", blocks(before), blocks(behind))?;
                } else {
                    text(&mut body, "system", system(before), system(behind))?;
                }
                list(&mut body, "messages", turns(before, false), turns(behind, false))?;
            }
            RESPONSES => {
                text(&mut body, "instructions", system(before), system(behind))?;
                let (first, last) = (turns(before, false), turns(behind, false));
                if !first.is_empty() || !last.is_empty() {
                    let input = body.entry("input").or_insert(Value::Null);
                    match input {
                        Value::String(text) => *input = json!([{"role": "user", "content": text.clone()}]),
                        Value::Null => *input = json!([]),
                        _ => {}
                    }
                    list(&mut body, "input", first, last)?;
                }
            }
            COMPLETION => text(&mut body, "prompt", all(before), all(behind))?,
            GEMINI | CONVERSE => self.nested_prompt(call, &mut body)?,
            _ => {}
        }
        Some(Value::Object(body))
    }

    /// The prompt of a format whose turns have parts.
    fn nested_prompt(&self, call: Call, body: &mut Map<String, Value>) -> Option<()> {
        let (before, behind) = (&self.before[..], &self.behind[..]);
        if call == GEMINI {
            instructions(body, spoken(before), spoken(behind))?;
            let key = key(call, body, "contents").unwrap_or("contents".into());
            let own = body.get_mut(&key);
            let ends = [self.said(before, "model", "parts"), self.said(behind, "model", "parts")];
            wrapped(own, ends)?;
            return Some(());
        }
        let block = |text: String| json!({"text": text});
        let [first, last] = [before, behind].map(|all| spoken(all).into_iter().map(block).collect::<Vec<_>>());
        if !(first.is_empty() && last.is_empty()) && body.get("system").is_none_or(Value::is_null) {
            body.insert("system".into(), json!([]));
        }
        list(body, "system", first, last)?;
        let [first, last] = [before, behind].map(|all| self.said(all, "assistant", "content"));
        if !(first.is_empty() && last.is_empty()) {
            let found = body.get_mut("messages")?.as_array_mut()?;
            *found = alternating(first, std::mem::take(found), last);
        }
        Some(())
    }

    /// Parameters and the bound of a format whose bound stands in an object.
    fn nested(&self, call: Call, body: &mut Map<String, Value>) -> Option<()> {
        let (place, bound) = match call {
            GEMINI => ("generationConfig", "maxOutputTokens"),
            _ => ("inferenceConfig", "maxTokens"),
        };
        for (name, kind, value) in &self.parameters {
            let found = key(call, body, name);
            let is_put = *kind == 1 || *kind == 0 && found.is_none();
            // A rule that bounds must be able to bound what it puts in itself.
            if is_put && self.most.is_some() && *name == place && !value.is_object() {
                return None;
            }
            match (found, kind) {
                (Some(found), 2) => drop(body.shift_remove(&found)),
                (Some(found), 1) => drop(body.insert(found, value.clone())),
                (None, 0 | 1) => drop(body.insert((*name).into(), value.clone())),
                _ => {}
            }
        }
        let Some(most) = self.most else { return Some(()) };
        let extra = body.get("additionalModelRequestFields");
        if call == CONVERSE && extra.is_some_and(|extra| extra.get("max_tokens").is_some()) {
            return None;
        }
        let place = key(call, body, place).unwrap_or(place.into());
        let config = body.entry(place).or_insert(Value::Null);
        if config.is_null() {
            *config = json!({});
        }
        let config = config.as_object_mut()?;
        let name = key(call, config, bound).unwrap_or(bound.into());
        let stated = match config.get(&name) {
            None | Some(Value::Null) => most,
            Some(Value::String(text)) if call == GEMINI => text.parse().ok()?,
            Some(other) => other.as_u64()?,
        };
        if stated == 0 {
            return None;
        }
        // What is within the bound stays as it was written.
        if stated > most || config.get(&name).is_none_or(Value::is_null) {
            config.insert(name, most.into());
        }
        Some(())
    }

    /// The turns of a format that says them as lists of texts.
    fn said(&self, all: &[Message], model: &str, pieces: &str) -> Vec<Value> {
        let mut turns: Vec<Value> = Vec::new();
        for message in all {
            let role = match message.role {
                Role::User => "user",
                Role::Assistant => model,
                _ => continue,
            };
            let piece = json!({"text": message.content});
            match turns.last_mut() {
                Some(last) if last["role"] == role => last[pieces].as_array_mut().unwrap().push(piece),
                _ => turns.push(json!({"role": role, pieces: [piece]})),
            }
        }
        turns
    }
}

/// The key under which Google's parser finds a field; in other formats, the field itself.
fn key(call: Call, body: &Map<String, Value>, name: &str) -> Option<String> {
    let words = |key: &str| {
        let mut words = key.split('_').map(str::to_owned);
        let first = words.next().unwrap_or_default();
        words.fold(first, |all, word| all + &word[..1].to_uppercase() + &word[1..])
    };
    let is = |key: &&String| *key == name || call.0 == Dialect::Gemini && words(key) == words(name);
    body.keys().find(is).cloned()
}

fn instructions(body: &mut Map<String, Value>, before: Vec<String>, behind: Vec<String>) -> Option<()> {
    let [before, behind] = [before, behind].map(|all| all.iter().map(|text| json!({"text": text})).collect::<Vec<_>>());
    if before.is_empty() && behind.is_empty() {
        return Some(());
    }
    let name = key(GEMINI, body, "systemInstruction").unwrap_or("systemInstruction".into());
    let system = body.entry(name).or_insert(Value::Null);
    if system.is_null() {
        *system = json!({});
    }
    let parts = system.as_object_mut()?.entry("parts").or_insert(Value::Null);
    if parts.is_null() {
        *parts = json!([]);
    }
    wrapped(Some(parts), [before, behind])
}

/// Puts elements at both ends of a list, for which one object may stand.
fn wrapped(found: Option<&mut Value>, [before, behind]: [Vec<Value>; 2]) -> Option<()> {
    if before.is_empty() && behind.is_empty() {
        return Some(());
    }
    let found = found?;
    let own = match found.take() {
        Value::Array(own) => own,
        own @ Value::Object(_) => vec![own],
        _ => return None,
    };
    *found = [before, own, behind].concat().into();
    Some(())
}

/// What is put in goes on in the message beside it, where that is the same side's.
fn alternating(before: Vec<Value>, own: Vec<Value>, behind: Vec<Value>) -> Vec<Value> {
    let mark = |all: Vec<Value>, ours: bool| all.into_iter().map(move |value| (value, ours));
    let mut all: Vec<(Value, bool)> = Vec::new();
    for (next, ours) in mark(before, true).chain(mark(own, false)).chain(mark(behind, true)) {
        let side = next["role"].as_str().filter(|_| next["content"].is_array()).map(str::to_owned);
        match all.last_mut() {
            Some((last, was_ours))
                if (ours || *was_ours)
                    && side.is_some()
                    && last["role"] == next["role"]
                    && last["content"].is_array() =>
            {
                let content = [last["content"].take(), next["content"].clone()];
                let joined: Vec<Value> =
                    content.iter().flat_map(|all| all.as_array().into_iter().flatten()).cloned().collect();
                // The client's message keeps what else it says.
                if !ours {
                    *last = next;
                }
                last["content"] = joined.into();
                *was_ours &= ours;
            }
            _ => all.push((next, ours)),
        }
    }
    all.into_iter().map(|(value, _)| value).collect()
}

fn bound(call: Call, most: u64, body: &mut Map<String, Value>) -> Option<()> {
    let names: &[&str] = match call {
        CHAT => &["max_completion_tokens", "max_tokens"],
        RESPONSES => &["max_output_tokens"],
        MESSAGES | COMPLETION => &["max_tokens"],
        _ => return Some(()),
    };
    let least = u64::from(call != MESSAGES);
    let is_there = |body: &Map<String, Value>, name: &&&str| body.get(**name).is_some_and(|value| !value.is_null());
    for name in names.iter().filter(|name| is_there(body, name)).collect::<Vec<_>>() {
        let stated = body[*name].as_u64().filter(|number| *number >= least)?;
        body[*name] = stated.min(most).into();
    }
    if !names.iter().any(|name| is_there(body, &name)) {
        let place = names.iter().find(|name| body.contains_key(**name)).unwrap_or(&names[0]);
        body.insert((*place).into(), most.into());
    }
    Some(())
}

fn list(body: &mut Map<String, Value>, name: &str, before: Vec<Value>, behind: Vec<Value>) -> Option<()> {
    if before.is_empty() && behind.is_empty() {
        return Some(());
    }
    let found = body.get_mut(name)?.as_array_mut()?;
    *found = [before, std::mem::take(found), behind].concat();
    Some(())
}

fn text(body: &mut Map<String, Value>, name: &str, before: Vec<String>, behind: Vec<String>) -> Option<()> {
    if before.is_empty() && behind.is_empty() {
        return Some(());
    }
    let found = body.entry(name).or_insert(Value::Null);
    let own = match found {
        Value::Null => Vec::new(),
        Value::String(text) if text.is_empty() => Vec::new(),
        Value::String(text) => vec![text.clone()],
        _ => return None,
    };
    *found = [before, own, behind].concat().join("\n\n").into();
    Some(())
}

/// The instructions among messages.
fn spoken(all: &[Message]) -> Vec<String> {
    let system = all.iter().filter(|message| matches!(message.role, Role::System | Role::Developer));
    system.map(|message| message.content.clone()).collect()
}
