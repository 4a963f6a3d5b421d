//! What one API's answers can hold, a feature at a time, and what a client of another one is told of it.

use serde_json::Value;
use weir::policy::Policy;

use super::asked::{Client, left_out};
use super::found::{Feature, Outcome, merged, read};
use crate::exchange::support::*;

/// What the answers of an API can hold: `tests/golden/drops/answers/API.json`.
pub struct Answers {
    body: Value,
    pub features: Vec<Feature>,
}

// === impl Answers ===

impl Answers {
    pub fn read(api: &str) -> Answers {
        let file = read(&format!("answers/{api}"));
        Answers { body: file["body"].clone(), features: Feature::all(&file) }
    }

    /// What a client is told of a feature, in a whole answer or in a stream.
    pub fn at(&self, policy: &Policy, client: &Client, feature: &Feature, stream: bool) -> Outcome {
        let tell = |members: &Value| {
            let mut world = World::new(policy.clone());
            let (path, body) = client.plain(stream);
            world.call(&path, body.to_string());
            assert!(world.envoy.upstream.began, "{path}: {}", world.client());
            world.reply(json(), merged(&self.body, members).to_string()).end();
            let told = (world.client(), left_out(&world, "answer_not_sayable"));
            (world.envoy.client.status == 200).then_some(told)
        };
        match (tell(&feature.with), tell(&feature.without)) {
            (Some((with, names)), Some((without, usual))) => feature.judge(&with, names, &without, &usual),
            (with, _) => Outcome::Refused(format!("{with:?}")),
        }
    }
}
