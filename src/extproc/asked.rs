//! A question of the exchange that is open.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::exchange::event::{Answer, Ask, Failure};
use crate::world::World;

/// Its answer, as soon as it is there.
pub(super) enum Asked {
    /// What the world could say at once costs neither a future on the heap nor a timer.
    Known(Ready<Answer>),
    Waits(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

// === impl Asked ===

impl Asked {
    /// Asks the world. The deadline is the host's own: Envoy has none in this mode.
    pub fn of<W: World>(world: &W, ask: Ask, max_wait: Duration) -> Self {
        if let Some(answer) = world.answer_now(&ask) {
            return Asked::Known(ready(answer));
        }
        let answer = world.answer(ask);
        Asked::Waits(Box::pin(async move {
            tokio::time::timeout(max_wait, answer).await.unwrap_or(Answer::Failed(Failure::Timeout))
        }))
    }
}

impl Future for Asked {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        match self.get_mut() {
            Asked::Known(answer) => Pin::new(answer).poll(cx),
            Asked::Waits(answer) => answer.as_mut().poll(cx),
        }
    }
}
