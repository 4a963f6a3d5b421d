//! Calls that Weir makes itself, through the proxy like anybody's: each is an exchange of its own, recorded, limited and
//! billed to the caller in whose name it is made. What shows whose it is is a key for one use, made of chance: nothing
//! that a client can write is one.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::base::json::{Tree, write_string};
use crate::identity::Principal;

/// What every key begins with: that of a consumer's keys, so that one that is not known is refused and never passed on.
const PREFIX: &str = "sk-weir-own-";

/// Calls that run at the same time, at most: of those beyond nothing comes.
const MOST: usize = 256;

/// The largest answer, in bytes: the vector of one text has 4,096 numbers at most.
const ANSWER: usize = 1 << 20;

/// The longest that a vector is waited for. A cache that costs more than that is no gain.
const LIMIT: Duration = Duration::from_secs(2);

/// Makes calls. A clone is the same.
#[derive(Clone)]
pub struct Own {
    /// Of the proxy, as `http://HOST:PORT`.
    base: Arc<str>,
    client: Client<HttpConnector, Full<Bytes>>,
    running: Running,
}

/// In whose name calls run, by their keys.
#[derive(Clone, Default)]
pub struct Running(Arc<Mutex<HashMap<String, Arc<Principal>>>>);

/// A call that runs; its key is none when it is over.
struct Run<'r> {
    running: &'r Running,
    key: String,
}

// === impl Own ===

impl Own {
    /// Through the proxy that listens there, as `HOST:PORT`.
    pub fn through(listen: &str, running: Running) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Own { base: format!("http://{listen}").into(), client, running }
    }

    /// The vector of a text, by a backend's model; none where there is none, or not in time.
    pub async fn embed(&self, caller: Arc<Principal>, backend: &str, model: &str, text: &str) -> Option<Vec<f32>> {
        let run = self.running.begin(caller)?;
        let mut body = b"{\"model\":".to_vec();
        write_string(&mut body, &format!("{backend}/{model}"));
        body.extend_from_slice(b",\"encoding_format\":\"float\",\"input\":");
        write_string(&mut body, text);
        body.push(b'}');
        let request = Request::post(format!("{}/v1/embeddings", self.base))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", run.key))
            .body(Full::from(body))
            .ok()?;
        let answer = async {
            let answer = self.client.request(request).await.ok().filter(|answer| answer.status().is_success())?;
            Some(Limited::new(answer.into_body(), ANSWER).collect().await.ok()?.to_bytes())
        };
        vector(&tokio::time::timeout(LIMIT, answer).await.ok().flatten()?)
    }
}

/// The one vector of an answer.
fn vector(body: &[u8]) -> Option<Vec<f32>> {
    let tree = Tree::read(body).ok()?;
    let only = tree.root().get("data")?.elements().next()?;
    only.get("embedding")?.elements().map(|number| number.number()?.parse().ok()).collect()
}

// === impl Running ===

impl Running {
    /// A key for one call; none where there are too many, or no chance is to be had.
    fn begin(&self, caller: Arc<Principal>) -> Option<Run<'_>> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits).ok()?;
        let mut key = PREFIX.to_owned();
        bits.iter().for_each(|byte| _ = write!(key, "{byte:02x}"));
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if running.len() >= MOST {
            return None;
        }
        running.insert(key.clone(), caller);
        drop(running);
        Some(Run { running: self, key })
    }

    /// In whose name a call is made that shows this value of `authorization`. A key is good once.
    pub fn caller(&self, authorization: &[u8]) -> Option<Arc<Principal>> {
        let key = std::str::from_utf8(authorization).ok()?.strip_prefix("Bearer ")?;
        if !key.starts_with(PREFIX) {
            return None;
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key)
    }
}

// === impl Run ===

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// Without a key.
impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Own({})", self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_good_once_and_while_its_call_runs() {
        let (running, ann) = (Running::default(), Arc::new(Principal { name: "ann".into(), ..Principal::default() }));
        let run = running.begin(ann.clone()).unwrap();
        let shown = format!("Bearer {}", run.key);
        for forged in
            ["", "Bearer ", "Bearer sk-weir-own-", "Bearer sk-weir-own-00", &shown[..shown.len() - 1], &run.key]
        {
            assert_eq!(running.caller(forged.as_bytes()), None, "{forged}");
        }
        assert_eq!(running.caller(shown.as_bytes()), Some(ann.clone()));
        assert_eq!(running.caller(shown.as_bytes()), None);
        let over = running.begin(ann.clone()).unwrap();
        let shown = format!("Bearer {}", over.key);
        drop(over);
        assert_eq!(running.caller(shown.as_bytes()), None);
        let all: Vec<_> = (0..MOST).map_while(|_| running.begin(ann.clone())).collect();
        assert!(all.len() == MOST && running.begin(ann).is_none());
        drop(all);
        assert!(running.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_vector_is_read_from_an_answer_and_nothing_else_is() {
        let whole =
            br#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-1,2e-3]}],"model":"m"}"#;
        assert_eq!(vector(whole), Some(vec![0.5, -1.0, 0.002]));
        for odd in
            ["", "{}", r#"{"data":[]}"#, r#"{"data":[{"embedding":"AAAA"}]}"#, r#"{"data":[{"embedding":[null]}]}"#]
        {
            assert!(vector(odd.as_bytes()).is_none_or(|vector| vector.is_empty()), "{odd}");
        }
    }
}
