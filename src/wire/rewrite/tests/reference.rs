//! What a rule makes of a call, written a second time: over parsed JSON, and without any bytes.

use serde_json::{Map, Value, json};

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
        if call != COUNT {
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
        let system = |all: &[Message]| -> Vec<String> {
            let system = all.iter().filter(|message| matches!(message.role, Role::System | Role::Developer));
            system.map(|message| message.content.clone()).collect()
        };
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
            _ => {}
        }
        Some(Value::Object(body))
    }
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
