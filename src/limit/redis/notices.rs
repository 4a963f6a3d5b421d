//! [io] What replicas tell one another: names, each with a time at which it ends, on the store's clock. All of them
//! are in one hash, and each replica looks at the version of it, which costs the store next to nothing where there
//! is no news.

use std::time::Duration;

use redis::{Cmd, Value};

use super::ask::millis;
use super::scripts::Verb;
use super::{Down, Redis};
use crate::store::Command;

/// Notices that are there at a time; of more, those that end first are not kept.
pub const MOST: usize = 256;

/// The longest name, in bytes.
pub const NAME: usize = 512;

/// The longest that one lasts.
pub const LIMIT: Duration = Duration::from_secs(3600);

/// A notice that is there is prolonged by no less: by less it is not worth that all replicas read it again.
pub const LEAST: Duration = Duration::from_millis(500);

/// What is heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Of all notices.
    pub version: u64,
    /// Names, and how long each still lasts.
    pub notices: Vec<(String, Duration)>,
    /// Of what was said, so much is none that a replica writes.
    pub strange: usize,
}

// === impl Redis ===

impl Redis {
    /// Tells all replicas, no more than [`MOST`] at once. What is known there as long or longer is left as it is.
    ///
    /// # Errors
    /// When it is not known to be told. It does no harm to tell it again.
    pub async fn tell(&self, notices: &[(String, Duration)]) -> Result<(), Down> {
        let mut command = self.script(Verb::Tell);
        command.arg(self.shared.at().store).arg(MOST).arg(millis(LIMIT)).arg(millis(LEAST));
        for (name, time) in notices.iter().take(MOST) {
            command.arg(name).arg(millis(*time));
        }
        match self.one(command).await? {
            Value::Int(_) => Ok(()),
            other => Err(Down::of(&other)),
        }
    }

    /// The version of all notices; none where there is none. It is another one whenever there is news.
    ///
    /// # Errors
    /// When the store does not say, or says what is no version.
    pub async fn version(&self) -> Result<Option<u64>, Down> {
        let mut command = Cmd::new();
        command.arg("HGET").arg(self.shared.voice.names.notices()).arg("v");
        match self.one(command).await? {
            Value::Nil => Ok(None),
            Value::BulkString(text) => {
                let version = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
                version.map(Some).ok_or(Down::Strange)
            }
            other => Err(Down::of(&other)),
        }
    }

    /// What was told after this version; after 0, all that still holds.
    ///
    /// # Errors
    /// When the store does not say.
    pub async fn listen(&self, since: u64) -> Result<Heard, Down> {
        let mut command = self.script(Verb::Listen);
        command.arg(self.shared.at().store).arg(since).arg(MOST).arg(millis(LIMIT));
        read(self.one(command).await?)
    }

    fn script(&self, verb: Verb) -> Cmd {
        let mut command = Cmd::new();
        command.arg("EVALSHA").arg(self.shared.scripts.digest(verb)).arg(1).arg(self.shared.voice.names.notices());
        command
    }

    async fn one(&self, words: Cmd) -> Result<Value, Down> {
        let command = Command::new(self.shared.voice.names.notices(), words);
        let answers = self.shared.link.send_later(vec![command]).await;
        match answers.into_iter().next() {
            Some(Ok(error @ Value::ServerError(_))) => Err(Down::of(&error)),
            Some(answer) => Ok(answer?),
            None => Err(Down::Strange),
        }
    }
}

/// Whoever can write to the store may have written anything.
fn read(answer: Value) -> Result<Heard, Down> {
    let Value::Array(values) = answer else { return Err(Down::of(&answer)) };
    let mut values = values.into_iter();
    let Some(Value::Int(version)) = values.next() else { return Err(Down::Strange) };
    let mut heard = Heard { version: version.try_into().map_err(|_| Down::Strange)?, ..Heard::default() };
    for _ in 0..MOST {
        let (Some(name), Some(left)) = (values.next(), values.next()) else { break };
        match notice(name, &left) {
            Some(notice) => heard.notices.push(notice),
            None => heard.strange += 1,
        }
    }
    Ok(heard)
}

fn notice(name: Value, left: &Value) -> Option<(String, Duration)> {
    let (Value::BulkString(name), Value::Int(left)) = (name, left) else { return None };
    let name = String::from_utf8(name).ok().filter(|name| name.len() <= NAME)?;
    let left = Duration::from_millis(u64::try_from(*left).ok()?);
    (left <= LIMIT).then_some((name, left))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &[u8]) -> Value {
        Value::BulkString(text.to_vec())
    }

    #[test]
    fn only_what_a_replica_writes_is_a_notice() {
        let answer = [
            (text(b"a"), Value::Int(1_500)),
            (text(b"\xff"), Value::Int(1_500)),
            (text(&[b'a'; NAME + 1]), Value::Int(1_500)),
            (text(b"negative"), Value::Int(-1)),
            (text(b"endless"), Value::Int(i64::MAX)),
            (text(b"text"), text(b"1500")),
            (Value::Nil, Value::Int(1)),
            (text(b"b"), Value::Int(0)),
        ];
        let values = [Value::Int(7)].into_iter().chain(answer.into_iter().flat_map(|(name, left)| [name, left]));
        let heard = read(Value::Array(values.collect())).unwrap();
        let notices = vec![("a".to_owned(), Duration::from_millis(1_500)), ("b".to_owned(), Duration::ZERO)];
        assert_eq!(heard, Heard { version: 7, notices, strange: 6 });
        for none in
            [Value::Nil, Value::Array(vec![]), Value::Array(vec![Value::Int(-1)]), Value::Array(vec![text(b"1")])]
        {
            assert_eq!(read(none), Err(Down::Strange));
        }
        let flood = [Value::Int(1)].into_iter().chain((0..9_000).map(|_| Value::Int(3)));
        assert_eq!(read(Value::Array(flood.collect())).unwrap().strange, MOST);
    }
}
