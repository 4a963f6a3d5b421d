//! What became of a request, in words or as JSON. A credential is shown as `***`.

use serde_json::{Value, json};

use super::drive::{Asked, End};
use super::estimate::{self, Estimate};
use super::recall;
use crate::config::ConfigError;
use crate::credential::CALLER_HEADERS;
use crate::exchange::event::{Edits, Local, Value as HeaderValue};
use crate::exchange::without_values;

/// Headers by which the proxy's router is told what to do; it takes them out.
const ORDERS: [&str; 2] = ["x-weir-", "x-envoy-"];

/// In the place of a credential.
const HIDDEN: &str = "***";

/// What leaves for the backend.
struct Leaving<'a> {
    path: String,
    /// The authority, and then the others as they are sent.
    headers: Vec<(String, String)>,
    /// What only the proxy's router reads.
    orders: Vec<(String, String)>,
    body: &'a [u8],
}

/// In words. The body stands last, as its bytes are.
pub fn text(asked: &Asked, notes: &[ConfigError]) -> Vec<u8> {
    let mut out = headline(asked);
    for note in notes {
        out += &format!("not carried out yet: {note}\n");
    }
    out += &asked.record.explain(&asked.policy, Some(&asked.request.headers)).to_string();
    out += &recall::text(asked);
    match &asked.end {
        End::Leaves { edits, body } => {
            let leaving = leaving(asked, edits, body);
            out += &format!("credential: {}\n", credential(asked, edits, &leaving));
            if let Some(estimate) = estimate::estimate(asked) {
                out += &tokens(&estimate);
            }
            for (name, value) in &leaving.orders {
                out += &format!("to Envoy: {name}: {value}\n");
            }
            out += &format!("leaves:\n{} {} HTTP/1.1\n", asked.request.method, leaving.path);
            leaving.headers.iter().for_each(|(name, value)| out += &format!("{name}: {value}\n"));
            out.push('\n');
            ended([out.as_bytes(), leaving.body].concat())
        }
        End::Answered(local) => {
            out += &format!("answer:\nHTTP/1.1 {}\n", local.status);
            local.headers.iter().for_each(|(name, value)| out += &format!("{name}: {value}\n"));
            out.push('\n');
            ended([out.as_bytes(), &local.body].concat())
        }
    }
}

/// As JSON, one document.
pub fn json(asked: &Asked, notes: &[ConfigError]) -> Vec<u8> {
    let mut shown = json!({
        "outcome": if matches!(asked.end, End::Leaves { .. }) { "leaves" } else { asked.record.outcome.as_str() },
        "refusal": refusal(asked),
        "countedHere": counted(asked),
        "notCarriedOut": notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "explain": asked.record.explain(&asked.policy, Some(&asked.request.headers)).to_json(),
    });
    shown["cache"] = recall::json(asked);
    match &asked.end {
        End::Leaves { edits, body } => {
            let leaving = leaving(asked, edits, body);
            shown["credential"] = json!(credential(asked, edits, &leaving));
            shown["estimate"] = estimate::estimate(asked).map_or(Value::Null, |estimate| estimate.to_json());
            shown["leaves"] = json!({
                "method": asked.request.method, "path": leaving.path, "headers": leaving.headers,
                "toEnvoy": leaving.orders, "body": String::from_utf8_lossy(leaving.body),
            });
        }
        End::Answered(Local { status, headers, body, .. }) => {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
            shown["answer"] = json!({"status": status, "headers": headers, "body": String::from_utf8_lossy(body)});
        }
    }
    ended(shown.to_string().into_bytes())
}

/// One line that says what came of it.
fn headline(asked: &Asked) -> String {
    let record = &asked.record;
    match (&asked.end, record.refusal) {
        (End::Answered(local), Some(code)) => {
            let detail = refusing(asked).map(|detail| format!(": {detail}")).unwrap_or_default();
            format!("refused: {} {code}{detail}\n", local.status)
        }
        (End::Answered(local), None) => match counted(asked) {
            Some(tokens) => format!("counted here: {tokens}\n"),
            None => format!("answered here: {}\n", local.status),
        },
        (End::Leaves { .. }, _) => {
            let backend = record.backend.as_deref().unwrap_or_default();
            let model = if record.sent_model.is_empty() { String::new() } else { format!(" as {}", record.sent_model) };
            format!("leaves: to {backend}{model}\n")
        }
    }
}

/// What came of a count that its provider does not make.
fn counted(asked: &Asked) -> Option<&str> {
    let counted = asked.record.decisions.iter().find(|decision| decision.step == "count");
    counted.filter(|decision| decision.outcome == "answered").map(|decision| &*decision.detail)
}

/// What the operator is told of a refusal.
fn refusing(asked: &Asked) -> Option<&str> {
    let mut refused = asked.record.decisions.iter().filter(|decision| decision.outcome == "refused");
    refused.find(|decision| !decision.detail.is_empty()).map(|decision| &*decision.detail)
}

fn refusal(asked: &Asked) -> Value {
    let Some(code) = asked.record.refusal else { return Value::Null };
    json!({"code": code, "detail": refusing(asked)})
}

fn leaving<'a>(asked: &Asked, edits: &Edits, body: &'a [u8]) -> Leaving<'a> {
    let request = &asked.request;
    let text = |value: &HeaderValue| match value {
        HeaderValue::Text(text) => text.to_string(),
        HeaderValue::Secret { prefix, .. } => format!("{prefix}{HIDDEN}"),
        // What is put back for another attempt; nothing that is explained has one.
        HeaderValue::Original(_) => HIDDEN.to_owned(),
    };
    let is_gone =
        |name: &str| edits.remove.iter().any(|gone| *gone == *name) || edits.set.iter().any(|(set, _)| *set == *name);
    let kept = request.headers.iter().filter(|(name, _)| !is_gone(name)).map(|(name, value)| {
        let hidden = CALLER_HEADERS.contains(&name);
        (name.to_owned(), if hidden { HIDDEN.to_owned() } else { String::from_utf8_lossy(value).into_owned() })
    });
    let set = edits.set.iter().map(|(name, value)| (name.to_string(), text(value)));
    let is_order = |(name, _): &(String, String)| ORDERS.iter().any(|prefix| name.starts_with(prefix));
    let (orders, mut others): (Vec<_>, Vec<_>) = kept.chain(set).partition(is_order);
    let authority = edits.authority.as_ref().map_or(request.authority.as_str(), |authority| authority);
    others.insert(0, ("host".to_owned(), authority.to_owned()));
    if !body.is_empty() {
        others.push(("content-length".to_owned(), body.len().to_string()));
    }
    let path = without_values(edits.path.as_deref().unwrap_or(&request.path));
    Leaving { path, headers: others, orders, body }
}

/// With whose key it leaves: where that key is looked for.
fn credential(asked: &Asked, edits: &Edits, leaving: &Leaving<'_>) -> String {
    let key = edits.set.iter().find_map(|(_, value)| match value {
        // Where keys are described, this says where the key would be.
        HeaderValue::Secret { secret, .. } => Some(secret.expose().to_owned()),
        HeaderValue::Text(_) | HeaderValue::Original(_) => None,
    });
    let has_callers = leaving.headers.iter().any(|(name, _)| CALLER_HEADERS.contains(&name.as_str()));
    match key {
        // A signature is made of the key, and says nothing of where that is.
        Some(_) if edits.set.iter().any(|(name, _)| *name == "x-amz-date") => {
            format!("a signature by {}", asked.record.credential.as_deref().unwrap_or_default())
        }
        Some(place) => place,
        None if asked.fetches => "one that is fetched when the call is made".to_owned(),
        None if has_callers => "the caller's own".to_owned(),
        None => "none".to_owned(),
    }
}

fn tokens(estimate: &Estimate) -> String {
    let Estimate { bytes, input, output, input_cost, most, price } = estimate;
    let output = match output {
        Some(bound) => format!("at most {} out, says {}", bound.tokens, bound.by),
        None => "of those that come out nothing is known".to_owned(),
    };
    let mut text = format!("tokens, estimated: {input} in ({bytes} bytes at 0.25 tokens a byte), {output}\n");
    text += &match (price, input_cost, most) {
        (Some(price), Some(least), Some(most)) if least == most => {
            format!("cost, estimated: {most} USD, by the price of {price}\n")
        }
        (Some(price), Some(least), Some(most)) => {
            format!(
                "cost, estimated: {least} USD and at most {most} USD with all of the output, by the price of {price}\n"
            )
        }
        (Some(price), Some(least), None) => {
            format!("cost, estimated: {least} USD and the output, by the price of {price}\n")
        }
        _ => "cost: no price is known\n".to_owned(),
    };
    text
}

fn ended(mut text: Vec<u8>) -> Vec<u8> {
    if text.last() != Some(&b'\n') {
        text.push(b'\n');
    }
    text
}

// === impl Estimate ===

impl Estimate {
    fn to_json(&self) -> Value {
        json!({
            "bodyBytes": self.bytes, "inputTokens": self.input,
            "maxOutputTokens": self.output.map(|bound| bound.tokens), "outputBoundBy": self.output.map(|bound| bound.by),
            "inputUsd": self.input_cost.map(|cost| cost.to_string()), "maxUsd": self.most.map(|cost| cost.to_string()),
            "price": self.price,
        })
    }
}
