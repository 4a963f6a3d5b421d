//! [io] The tour of `weir up --demo`: five calls through the running Envoy, and what Weir recorded of
//! each. It fails when a call does not show what it is there to show.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use super::http::{Client, HttpError};

/// The route of the demonstration: the alias `fast`, beside every other name, which the only
/// backend serves.
pub const ROUTE: &str = "\
apiVersion: weir.dev/v1alpha1
kind: LLMRoute
metadata: {name: demo}
spec:
  rules:
  - name: alias
    matches: [{model: {value: fast}}]
    backends: [{name: mock, model: gpt-4o-mini}]
";

/// The configuration that [`tour`] needs, for a provider at `endpoint` (with its `/v1`).
pub fn configuration(endpoint: &str) -> String {
    format!(
        "\
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {{name: mock}}
spec: {{dialect: OpenAI, endpoint: \"{endpoint}\", credentials: [{{type: None}}]}}
---
{ROUTE}"
    )
}

/// Why the tour did not show what it should.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("step {step}: {what}")]
    Unexpected { step: &'static str, what: String },
    #[error("step {step}: the request failed")]
    Http { step: &'static str, source: HttpError },
    #[error("step {step}: the answer broke off")]
    Stream { step: &'static str, source: hyper::Error },
    #[error("cannot write")]
    Write(#[from] io::Error),
}

const TIMEOUT: Duration = Duration::from_secs(30);
/// Records are written after the answer.
const RECORD_WAIT: Duration = Duration::from_secs(2);

/// Makes the calls against `base_url` (`http://HOST:PORT/v1`) and tells on `out` what happened;
/// `admin` is Weir's admin endpoint (`http://HOST:PORT`).
///
/// # Errors
/// At the first call that does not show what it should.
pub async fn tour(base_url: &str, admin: &str, out: &mut (impl Write + Send)) -> Result<(), DemoError> {
    let url = format!("{}/chat/completions", base_url.trim_end_matches('/'));
    let mut tour = Tour { client: Client::new(), url, admin: admin.trim_end_matches('/').to_owned(), out };
    tour.whole().await?;
    tour.streamed().await?;
    tour.alias().await?;
    tour.abort().await?;
    tour.refusal().await?;
    writeln!(tour.out, "\nAll five calls showed what they should.")?;
    Ok(())
}

struct Tour<'a, W> {
    client: Client,
    url: String,
    admin: String,
    out: &'a mut W,
}

// === impl Tour ===

impl<W: Write + Send> Tour<'_, W> {
    async fn whole(&mut self) -> Result<(), DemoError> {
        const STEP: &str = "1, a call";
        self.title(STEP, "gpt-4o-mini, answered whole")?;
        let (headers, answer) = self.ask(STEP, chat("gpt-4o-mini", false), &[]).await?;
        let said = answer["choices"][0]["message"]["content"].as_str();
        let said = said.ok_or_else(|| unexpected(STEP, "the answer holds no message"))?;
        writeln!(self.out, "  answer    {}", shortened(said))?;
        let record = self.record(STEP, &headers).await?;
        priced(STEP, &record)?;
        expect(STEP, &record, "usageSource", "provider")
    }

    async fn streamed(&mut self) -> Result<(), DemoError> {
        const STEP: &str = "2, a streamed call";
        self.title(STEP, "gpt-4o-mini, each event as the provider produced it")?;
        let (headers, seen) = self.stream(STEP, &[("x-mock-tokens", "8")], usize::MAX).await?;
        if seen.events < 3 || !seen.done {
            return Err(unexpected(STEP, &format!("{} events, the last of them not [DONE]", seen.events)));
        }
        let record = self.record(STEP, &headers).await?;
        priced(STEP, &record)?;
        expect(STEP, &record, "usageSource", "provider")
    }

    async fn alias(&mut self) -> Result<(), DemoError> {
        const STEP: &str = "3, an alias";
        self.title(STEP, "the caller says `fast`, a route makes it gpt-4o-mini")?;
        let (headers, answer) = self.ask(STEP, chat("fast", false), &[]).await?;
        writeln!(self.out, "  model     fast -> {}", answer["model"].as_str().unwrap_or("?"))?;
        let record = self.record(STEP, &headers).await?;
        expect(STEP, &record, "models.requested", "fast")?;
        expect(STEP, &record, "models.sent", "gpt-4o-mini")?;
        priced(STEP, &record)
    }

    async fn abort(&mut self) -> Result<(), DemoError> {
        const STEP: &str = "4, an abort";
        self.title(STEP, "the caller hangs up after three events, and is billed for what went through")?;
        let (headers, seen) = self.stream(STEP, &[("x-mock-tokens", "400")], 3).await?;
        writeln!(self.out, "  hung up   after {} events", seen.events)?;
        let record = self.record(STEP, &headers).await?;
        expect(STEP, &record, "outcome", "abandoned")?;
        expect(STEP, &record, "usageSource", "estimated")?;
        priced(STEP, &record)
    }

    async fn refusal(&mut self) -> Result<(), DemoError> {
        const STEP: &str = "5, an error";
        self.title(STEP, "a request that is no JSON gets an error in OpenAI's shape")?;
        let request = self.request(STEP, Bytes::from_static(b"{\"model\": \"gpt-4o-mini\", "), &[])?;
        let answer =
            self.client.call(request, TIMEOUT).await.map_err(|source| DemoError::Http { step: STEP, source })?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        writeln!(self.out, "  status    {}", answer.status.as_u16())?;
        writeln!(self.out, "  error     {}", shortened(&body["error"].to_string()))?;
        let shaped = ["message", "type", "code"].iter().all(|field| body["error"][field].is_string());
        if answer.status != 400 || !shaped {
            return Err(unexpected(STEP, "this is no error 400 in OpenAI's shape"));
        }
        let record = self.record(STEP, &answer.headers).await?;
        expect(STEP, &record, "outcome", "refused")
    }

    fn title(&mut self, step: &str, what: &str) -> io::Result<()> {
        writeln!(self.out, "\n{step}: {what}")
    }

    fn request(
        &self,
        step: &'static str,
        body: Bytes,
        orders: &[(&str, &str)],
    ) -> Result<Request<Full<Bytes>>, DemoError> {
        let mut builder = Request::post(&self.url)
            .header("content-type", "application/json")
            .header("authorization", "Bearer any-key-will-do");
        for (name, value) in orders {
            builder = builder.header(*name, *value);
        }
        builder.body(Full::new(body)).map_err(|source| DemoError::Http { step, source: source.into() })
    }

    /// A call that must succeed: the answer's headers and its JSON.
    async fn ask(
        &self,
        step: &'static str,
        body: Bytes,
        orders: &[(&str, &str)],
    ) -> Result<(HeaderMap, Value), DemoError> {
        let request = self.request(step, body, orders)?;
        let answer = self.client.call(request, TIMEOUT).await.map_err(|source| DemoError::Http { step, source })?;
        if !answer.status.is_success() {
            let said = shortened(&String::from_utf8_lossy(&answer.body));
            return Err(unexpected(step, &format!("status {}: {said}", answer.status.as_u16())));
        }
        let body = serde_json::from_slice(&answer.body).map_err(|_| unexpected(step, "the answer is no JSON"))?;
        Ok((answer.headers, body))
    }

    /// A streamed call, read up to `most` events; then the connection is dropped.
    async fn stream(
        &mut self,
        step: &'static str,
        orders: &[(&str, &str)],
        most: usize,
    ) -> Result<(HeaderMap, Seen), DemoError> {
        let orders = [&[("x-mock-spacing", "40")], orders].concat();
        let request = self.request(step, chat("gpt-4o-mini", true), &orders)?;
        let begin = Instant::now();
        let opened = tokio::time::timeout(TIMEOUT, self.client.open(request)).await;
        let opened = opened.map_err(|_| unexpected(step, "no answer in time"))?;
        let (head, mut body) = opened.map_err(|source| DemoError::Http { step, source })?.into_parts();
        if !head.status.is_success() {
            return Err(unexpected(step, &format!("status {}", head.status.as_u16())));
        }
        let mut seen = Seen::default();
        while seen.events < most {
            let next = tokio::time::timeout(TIMEOUT, body.frame()).await;
            let Some(frame) = next.map_err(|_| unexpected(step, "the stream stands still"))? else { break };
            let frame = frame.map_err(|source| DemoError::Stream { step, source })?;
            let Some(bytes) = frame.data_ref() else { continue };
            for event in seen.feed(bytes) {
                writeln!(self.out, "  {:>6} ms {}", begin.elapsed().as_millis(), shortened(&event))?;
            }
            self.out.flush()?;
        }
        Ok((head.headers, seen))
    }

    /// What Weir recorded of the call that was answered with these headers, and prints it.
    async fn record(&mut self, step: &'static str, headers: &HeaderMap) -> Result<Value, DemoError> {
        let id = headers.get("x-weir-request-id").and_then(|id| id.to_str().ok());
        let id = id.ok_or_else(|| unexpected(step, "the answer holds no x-weir-request-id"))?;
        let url = format!("{}/exchanges/{id}", self.admin);
        let deadline = Instant::now() + RECORD_WAIT;
        let record: Value = loop {
            match self.client.get(&url, RECORD_WAIT).await {
                Ok(answer) if answer.status.is_success() => {
                    break serde_json::from_slice(&answer.body)
                        .map_err(|_| unexpected(step, "its record is no JSON"))?;
                }
                Err(source) if Instant::now() >= deadline => return Err(DemoError::Http { step, source }),
                Ok(_) if Instant::now() >= deadline => return Err(unexpected(step, "there is no record of it")),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        self.print(&record)?;
        Ok(record)
    }

    fn print(&mut self, record: &Value) -> io::Result<()> {
        let fact = |path| fact(record, path).unwrap_or_else(|| "-".to_owned());
        writeln!(
            self.out,
            "  tokens    input {}, cached {}, output {} ({})",
            fact("usage.input"),
            fact("usage.cacheRead"),
            fact("usage.output"),
            fact("usageSource")
        )?;
        writeln!(self.out, "  cost      {} USD", fact("costUsd"))?;
        writeln!(
            self.out,
            "  time      {} in all, first token after {}",
            fact("duration"),
            fact("timings.firstToken")
        )?;
        writeln!(self.out, "  outcome   {}", fact("outcome"))?;
        for decision in record["decisions"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let word = |field: &str| decision[field].as_str().unwrap_or_default();
            let line = format!("{:<9} {} {} {}", word("step"), word("outcome"), word("reason"), word("detail"));
            writeln!(self.out, "  decided   {}", line.trim_end())?;
        }
        Ok(())
    }
}

/// The events of a stream as they arrive.
#[derive(Debug, Default)]
struct Seen {
    events: usize,
    done: bool,
    rest: Vec<u8>,
}

// === impl Seen ===

impl Seen {
    /// The data of the events that `bytes` complete. Knows only the spelling that the mock uses.
    fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        self.rest.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.rest.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = self.rest.drain(..end + 2).collect();
            let event = String::from_utf8_lossy(&event);
            if let Some(data) = event.trim().strip_prefix("data:") {
                self.events += 1;
                self.done |= data.trim() == "[DONE]";
                events.push(data.trim().to_owned());
            }
        }
        events
    }
}

/// One fact of a record, by its path, as a word: numbers of 64 bits are texts in proto-JSON, and the
/// names of an enum's values begin with the enum's own.
fn fact(record: &Value, path: &str) -> Option<String> {
    let found = path.split('.').try_fold(record, |value, field| value.get(field))?;
    let text = match found {
        Value::String(text) => text.clone(),
        Value::Null => return None,
        other => other.to_string(),
    };
    let prefixes = ["USAGE_SOURCE_", "OUTCOME_"];
    let word = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix));
    Some(word.map_or(text.clone(), str::to_ascii_lowercase))
}

fn expect(step: &'static str, record: &Value, path: &str, wanted: &str) -> Result<(), DemoError> {
    let found = fact(record, path).unwrap_or_else(|| "absent".to_owned());
    if found == wanted { Ok(()) } else { Err(unexpected(step, &format!("{path} is {found}, not {wanted}"))) }
}

/// Tokens both ways, and a cost above zero.
fn priced(step: &'static str, record: &Value) -> Result<(), DemoError> {
    let some = |path| fact(record, path).and_then(|text| text.parse::<f64>().ok()).is_some_and(|number| number > 0.0);
    match ["usage.input", "usage.output", "costUsd"].into_iter().find(|path| !some(path)) {
        None => Ok(()),
        Some(path) => Err(unexpected(step, &format!("{path} is not above zero"))),
    }
}

fn chat(model: &str, stream: bool) -> Bytes {
    let messages = json!([{"role": "user", "content": "Why do rivers have weirs?"}]);
    let mut body = json!({"model": model, "messages": messages});
    if stream {
        body["stream"] = json!(true);
    }
    Bytes::from(body.to_string())
}

fn shortened(text: &str) -> String {
    const MOST: usize = 88;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn unexpected(step: &'static str, what: &str) -> DemoError {
    DemoError::Unexpected { step, what: what.to_owned() }
}

#[cfg(test)]
mod tests;
