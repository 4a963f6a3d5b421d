//! [io] Commands on their way through a Cluster: each to the server of its slot, and on to where that sends them.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use redis::{Pipeline, Value};
use tokio::time::{Instant, sleep};

use super::Down;
use super::answers::{Elsewhere, elsewhere};
use super::link::Link;
use super::map::Member;
use super::slot::Command;

/// Before it is asked again for a slot that is on its way, or that is sent from one server to the other.
const AGAIN: Duration = Duration::from_millis(2);
/// Redirections that are followed at once.
const AT_ONCE: u32 = 3;

/// A command that has no answer yet.
struct Open {
    place: usize,
    command: Command,
    /// Where it is asked alone, of a slot that is not there yet.
    asked: Option<Arc<Member>>,
}

/// What goes to one server.
struct Batch {
    member: Arc<Member>,
    commands: Vec<Open>,
}

/// What is answered to each command.
pub(super) async fn send(link: &Link, commands: Vec<Command>, deadline: Instant) -> Vec<Result<Value, Down>> {
    let mut answers = vec![Err(Down::Shut); commands.len()];
    let mut open: Vec<Open> =
        commands.into_iter().enumerate().map(|(place, command)| Open { place, command, asked: None }).collect();
    let mut hops = 0;
    while !open.is_empty() {
        let (batches, homeless) = match divide(link, open, deadline).await {
            Ok(divided) => divided,
            // The map is known here, whatever else is not.
            Err(_) => return answers,
        };
        // Nothing was sent of these: it is as if their server were down.
        for homeless in homeless {
            put(&mut answers, homeless.place, Err(Down::Shut));
        }
        open = Vec::new();
        let sent = all(batches.iter().map(|batch| batch.send(deadline)).collect()).await;
        for (batch, sent) in batches.into_iter().zip(sent) {
            batch.read(link, sent, &mut answers, &mut open);
        }
        hops += 1;
        let is_between = |open: &Open| answers.get(open.place).is_some_and(is_between);
        if hops >= AT_ONCE || open.iter().any(is_between) {
            if Instant::now() + AGAIN >= deadline {
                break;
            }
            sleep(AGAIN).await;
        }
    }
    answers
}

fn is_between(answer: &Result<Value, Down>) -> bool {
    answer.as_ref().is_ok_and(|value| elsewhere(value) == Some(Elsewhere::Between))
}

/// By server, and those whose slot no server has.
async fn divide(link: &Link, open: Vec<Open>, deadline: Instant) -> Result<(Vec<Batch>, Vec<Open>), Down> {
    let map = link.map(deadline).await?;
    let (mut batches, mut homeless): (Vec<Batch>, Vec<Open>) = (Vec::new(), Vec::new());
    for one in open {
        let Some(member) = one.asked.clone().or_else(|| map.server(one.command.slot).cloned()) else {
            link.doubt();
            homeless.push(one);
            continue;
        };
        match batches.iter_mut().find(|batch| batch.member.server.number == member.server.number) {
            Some(batch) => batch.commands.push(one),
            None => batches.push(Batch { member, commands: vec![one] }),
        }
    }
    Ok((batches, homeless))
}

fn put(answers: &mut [Result<Value, Down>], place: usize, answer: Result<Value, Down>) {
    if let Some(of) = answers.get_mut(place) {
        *of = answer;
    }
}

// === impl Batch ===

impl Batch {
    /// Only the answers to the commands, without those to what had to be said before.
    async fn send(&self, deadline: Instant) -> Result<Vec<Value>, Down> {
        let mut pipeline = Pipeline::with_capacity(self.commands.len());
        for one in &self.commands {
            if one.asked.is_some() {
                pipeline.cmd("ASKING");
            }
            pipeline.add_command(one.command.words.clone());
        }
        let mut values = self.member.server.send(&pipeline, deadline).await?.into_iter();
        let mut own = Vec::with_capacity(self.commands.len());
        for one in &self.commands {
            if one.asked.is_some() {
                values.next();
            }
            own.extend(values.next());
        }
        Ok(own)
    }

    /// Notes what is answered, and which commands have to go on.
    fn read(
        self,
        link: &Link,
        sent: Result<Vec<Value>, Down>,
        answers: &mut [Result<Value, Down>],
        open: &mut Vec<Open>,
    ) {
        let values = match sent {
            Ok(values) => values,
            Err(down) => {
                if down != Down::Shut {
                    // Another server may have the slot by now.
                    link.doubt();
                }
                for one in self.commands {
                    put(answers, one.place, Err(down.clone()));
                }
                return;
            }
        };
        let own =
            self.member.server.name.as_deref().and_then(|name| name.rsplit_once(':')).map_or("", |(host, _)| host);
        for (mut one, value) in self.commands.into_iter().zip(values) {
            let known = |host: String| if host.is_empty() { own.to_owned() } else { host };
            one.asked = match elsewhere(&value) {
                None => {
                    put(answers, one.place, Ok(value));
                    continue;
                }
                Some(Elsewhere::Moved { host, port }) => {
                    link.learn(&known(host), port, Some(one.command.slot));
                    link.doubt();
                    None
                }
                Some(Elsewhere::Ask { host, port }) => link.learn(&known(host), port, None),
                Some(Elsewhere::Between) => None,
            };
            put(answers, one.place, Ok(value));
            open.push(one);
        }
    }
}

/// What all of them come to, at the same time.
async fn all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    let mut futures: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs).filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(ready) = future.as_mut().poll(context) {
                *output = Some(ready);
            }
        }
        if outputs.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
