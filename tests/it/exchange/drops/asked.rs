//! What one client can ask, a feature at a time, and what becomes of it at a target.

use serde_json::Value;
use weir::exchange::event::Event;
use weir::policy::Policy;

use super::found::{Feature, Outcome, merged, read};
use crate::e2e::matrix::clients;
use crate::e2e::matrix::targets::Target;
use crate::exchange::recorded::translation::policy_of;
use crate::exchange::support::*;

/// What a client's API can say: `tests/golden/drops/CLIENT.json`.
pub struct Client {
    path: String,
    /// A request that says nothing but a word.
    body: Value,
    pub features: Vec<Feature>,
}

/// What left, or the words of a refusal; and what was left out.
type Left = (Result<String, String>, Vec<String>);

// === impl Client ===

impl Client {
    pub fn read(client: &clients::Client) -> Client {
        let file = read(client.name);
        let features = Feature::all(&file);
        let path = file["path"].as_str().expect("a path").to_owned();
        Client { path, body: file["body"].clone(), features }
    }

    /// A request that says nothing but a word, and where it goes.
    pub fn plain(&self, stream: bool) -> (String, Value) {
        let mut body = self.body.clone();
        match stream {
            // Of usage Chat tells in a stream only when it is asked to.
            true if self.path.contains("chat") => {
                body["stream"] = true.into();
                body["stream_options"] = serde_json::json!({"include_usage": true});
            }
            _ if !self.path.contains("any") => body["stream"] = stream.into(),
            true => {
                let path = self.path.replace(":generateContent", ":streamGenerateContent?alt=sse");
                return (path.replace("/converse", "/converse-stream"), body);
            }
            false => {}
        }
        (self.path.clone(), body)
    }

    fn ask(&self, policy: &Policy, body: &Value) -> Left {
        let mut world = World::new(policy.clone());
        world.call(&self.path, body.to_string());
        let left = match world.envoy.upstream.began {
            true => Ok(world.upstream()),
            false => Err(world.client()),
        };
        world.send(Event::Gone);
        (left, left_out(&world, "not_sayable"))
    }

    /// What becomes of a feature at a target.
    pub fn at(&self, policy: &Policy, feature: &Feature) -> Outcome {
        let with = self.ask(policy, &merged(&self.body, &feature.with));
        let without = self.ask(policy, &merged(&self.body, &feature.without));
        match (with, without) {
            ((Err(words), _), _) => Outcome::Refused(words),
            (_, (Err(words), _)) => Outcome::Silent(format!("refused without it: {words}")),
            ((Ok(with), names), (Ok(without), usual)) => feature.judge(&with, names, &without, &usual),
        }
    }
}

/// What the record names as left out, for this reason.
pub fn left_out(world: &World, reason: &str) -> Vec<String> {
    let decisions = world.record().decisions.iter();
    let told = decisions.filter(|decision| (decision.outcome, decision.reason) == ("dropped", reason));
    told.flat_map(|decision| decision.detail.split(", ").map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The model that a target is asked for: OpenAI's that think are asked by Responses, and take other things.
pub fn model(target: &Target) -> &'static str {
    if target.name == "openai-responses" { "gpt-5-mini" } else { target.model }
}

/// The policy that leads to a target alone.
pub fn policy(target: &Target) -> Policy {
    let spec = format!("{}, credentials: [{{type: None}}]", target.spec.replace("{mock}", "up.example"));
    policy_of(&spec, Some(model(target))).unwrap_or_else(|error| panic!("{}: {error}", target.name))
}
