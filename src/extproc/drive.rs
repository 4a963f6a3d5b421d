//! The loop of one stream: a message comes, the exchange says what to do, answers go out.
//!
//! It is a `Stream` that reads its own input: the server polls it, it polls the inbound messages, and
//! no task, channel or lock stands between the two.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tokio_stream::Stream;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Code, Status, Streaming};

use super::asked::Asked;
use super::claims;
use super::feed::feed;
use super::incoming::{Incoming, Modes};
use super::leave::{leave, leave_all};
use super::outbox::Outbox;
use super::outgoing::Outgoing;
use super::pool::{Place, Pool};
use super::read::read;
use super::registry::Attempts;
use super::write::Writer;
use crate::cache::Recall;
use crate::exchange::event::{Action, Answer, Event, Feed, Slot, Stop};
use crate::exchange::phase::BodyMode;
use crate::exchange::{Exchange, Setup};
use crate::render::attempt::has_routes;
use crate::world::cache::Seated;
use crate::world::{Permit, World};

/// Held bodies above this size are read, edited and signed off the I/O threads.
const LARGE: usize = 1 << 20;

/// One stream.
pub struct Drive<W: World> {
    inbound: Streaming<Incoming>,
    world: Arc<W>,
    pool: Arc<Pool>,
    outbox: Outbox,
    writer: Writer,
    wake: Option<Pin<Box<Sleep>>>,
    deadline: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Whom the deadline wakes.
    waker: Option<Waker>,
    /// The exchange was told that the deadline has come.
    stopped: bool,
    /// How long a question may take.
    max_wait: Duration,
    /// The metadata namespace in which a token's claims are; none where none are looked at.
    claims_from: Option<Arc<str>>,
    feeds: Option<mpsc::Receiver<Feed>>,
    /// Where it is told of the flight that it leads or follows.
    seat: Option<Seated>,
    attempts: Attempts,
    /// None once the exchange was told that it is gone.
    running: Option<Running>,
    /// Scratch space, so that an event costs no allocation.
    actions: Vec<Action>,
}

/// What is left to be done when the stream is gone.
struct Running {
    /// In a box, for it is large and what it is in is moved.
    exchange: Box<Exchange>,
    place: Place,
    /// None for an exchange that is shed: it leaves no note.
    permit: Option<Permit>,
    gate: Option<Asked>,
    side: Option<Asked>,
}

// === impl Drive ===

impl<W: World> Drive<W> {
    /// A stream that has said nothing yet, of a filter that says so much of orders of backends (`render::attempt`).
    pub fn new(inbound: Streaming<Incoming>, world: Arc<W>, pool: Arc<Pool>, orders: &str) -> Self {
        let (place, fits) = pool.enter();
        let permit = if fits { world.admit() } else { None };
        let policy = world.policy();
        let (max_wait, claims_from) = (policy.max_wait, policy.identity.claims_from(policy.role).cloned());
        let setup = Setup {
            id: pool.id(),
            policy,
            learned: world.learned(),
            health: world.health(),
            mode: BodyMode::FullDuplex,
            draw: pool.draw(),
        };
        if permit.is_none() {
            pool.count_shed("exchanges");
        }
        let mut exchange = Box::new(Exchange::new(setup));
        exchange.fail_over(|policy| has_routes(orders, &policy.orders));
        let running = Running { exchange, place, permit, gate: None, side: None };
        Drive {
            inbound,
            outbox: Outbox::default(),
            writer: Writer::default(),
            wake: None,
            deadline: Box::pin(pool.over()),
            waker: None,
            stopped: false,
            max_wait,
            claims_from,
            feeds: world.feeds(),
            seat: None,
            attempts: Attempts::default(),
            running: Some(running),
            actions: Vec::new(),
            world,
            pool,
        }
    }

    /// What the exchange waits for, besides what Envoy says.
    fn poll_awaited(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let Some(running) = &mut self.running else { return Poll::Pending };
        for (slot, asked) in [(Slot::Gate, &mut running.gate), (Slot::Side, &mut running.side)] {
            if let Some(Poll::Ready(answer)) = asked.as_mut().map(|asked| Pin::new(asked).poll(cx)) {
                *asked = None;
                if let Answer::Recall(Recall::Lead(ticket) | Recall::Follow(ticket)) = &answer {
                    self.seat = self.world.seat(*ticket);
                }
                return Poll::Ready(Event::Answer(slot, answer));
            }
        }
        if let Some(Poll::Ready(())) = self.wake.as_mut().map(|wake| wake.as_mut().poll(cx)) {
            self.wake = None;
            return Poll::Ready(Event::Tick);
        }
        if self.pool.is_over() && !std::mem::replace(&mut self.stopped, true) {
            return Poll::Ready(Event::Stop(Stop::Deadline));
        }
        if let Poll::Ready(attempt) = self.attempts.poll(cx) {
            return Poll::Ready(Event::Attempt(attempt));
        }
        if let Some(Poll::Ready(told)) = self.seat.as_mut().map(|seat| seat.poll(cx)) {
            let told = feed(told, &running.exchange, &running.place);
            self.seat.take_if(|_| told == Feed::Alone);
            return Poll::Ready(Event::Feed(told));
        }
        match self.feeds.as_mut().map(|feeds| feeds.poll_recv(cx)) {
            Some(Poll::Ready(Some(feed))) => return Poll::Ready(Event::Feed(feed)),
            Some(Poll::Ready(None)) => self.feeds = None,
            _ => {}
        }
        Poll::Pending
    }

    /// Sees to it that this stream is woken when the time to finish is over. Looking at it takes a
    /// lock that all streams share, so it is done once for each waker, which a stream has one of.
    fn await_deadline(&mut self, cx: &mut Context<'_>) {
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return;
        }
        self.waker = Some(cx.waker().clone());
        if self.deadline.as_mut().poll(cx).is_ready() && !self.stopped {
            // It came in between; the next poll sees it.
            cx.waker().wake_by_ref();
        }
    }

    /// Envoy says in its first message how it sends bodies. A mode that is not spoken is a mistake of
    /// whoever configured the filter: said once in the log, and refused, for its messages mean something
    /// else.
    fn take_mode(&mut self, said: Option<Modes>) -> Result<(), Status> {
        let Some(said) = said else { return Ok(()) };
        let Some(mode) = super::modes::body_mode(said) else {
            self.pool.complain_of_mode();
            return Err(Status::failed_precondition("Weir does not speak these body modes; its log says which ones"));
        };
        if let (true, Some(running)) = (mode != BodyMode::FullDuplex, &mut self.running)
            && running.exchange.speak(mode)
        {
            self.writer = Writer::new(mode);
        }
        Ok(())
    }

    fn receive(&mut self, mut message: Incoming) {
        let metadata = std::mem::take(&mut message.metadata);
        let Some(event) = read(message, &mut self.writer) else { return };
        match event {
            Event::RequestBody(bytes, end) => self.receive_body(bytes, end),
            Event::Request(mut head, end) => {
                if let Some(namespace) = self.claims_from.as_deref().filter(|_| !metadata.is_empty()) {
                    head.facts.claims = claims::read(&metadata, namespace);
                }
                head.facts.own = head.headers.get("authorization").and_then(|shown| self.world.own_caller(shown));
                if self.running.as_ref().is_some_and(|running| running.permit.is_none()) {
                    self.tell(Event::Stop(Stop::Shed));
                }
                self.tell(Event::Request(head, end));
            }
            Event::Chunk(bytes, end) => {
                let has_no_room = |running: &Running| match &running.exchange {
                    exchange if exchange.needs_whole_response() => !running.place.makes_room_for(bytes.len()),
                    exchange => exchange.is_holding_response() && running.place.is_full_for(bytes.len()),
                };
                if self.running.as_ref().is_some_and(has_no_room) {
                    // What the body was held for, or copied for, is given up, not the answer.
                    self.tell(Event::Stop(Stop::Shed));
                }
                self.tell(Event::Chunk(bytes, end));
            }
            event => self.tell(event),
        }
    }

    fn receive_body(&mut self, bytes: Bytes, end: bool) {
        let Some(running) = &mut self.running else { return };
        if self.writer.is_passing() {
            // The exchange lets go of its share before the bytes leave, so they leave uncopied.
            self.tell(Event::RequestBody(bytes.clone(), end));
            self.writer.echo(bytes, end, &mut self.outbox);
            return;
        }
        let holding = running.exchange.is_holding();
        if holding && !running.place.makes_room_for(bytes.len()) {
            self.pool.count_shed("buffered");
            self.tell(Event::Stop(Stop::Shed));
            return self.tell(Event::RequestBody(bytes, end));
        }
        let size = running.exchange.buffered() + bytes.len();
        if holding && end {
            return beside(size, || self.tell(Event::RequestBody(bytes, end)));
        }
        self.tell(Event::RequestBody(bytes, end));
    }

    /// Delivers one event and does what the exchange says.
    fn tell(&mut self, event: Event) {
        let Some(running) = &mut self.running else { return };
        let now = self.pool.now();
        running.exchange.on(event, now, &mut self.actions);
        running.place.holds(running.exchange.buffered());
        for action in self.actions.drain(..) {
            match action {
                Action::Ask(slot, ask) => {
                    let asked = Asked::of(&*self.world, ask, self.max_wait);
                    match slot {
                        Slot::Gate => running.gate = Some(asked),
                        Slot::Side => running.side = Some(asked),
                    }
                }
                Action::Wake(at) => self.wake = Some(Box::pin(tokio::time::sleep(self.pool.until(at)))),
                Action::Note(note) => leave(&*self.world, running.permit.as_mut(), note),
                Action::Keep(body) => self.attempts.keep(self.pool.keep(body)),
                Action::Retry(_, again) => self.attempts.answer(again, &self.pool),
                action => self.writer.write(action, &mut self.outbox),
            }
        }
        self.attempts.follow(&running.exchange, self.pool.attempts());
    }

    /// Answers what Envoy waits for, unless the exchange itself waits before it says what goes on.
    fn settle(&mut self) {
        if !self.running.as_ref().is_some_and(|running| running.exchange.is_waiting_for_more()) {
            self.writer.settle(&mut self.outbox);
        }
    }

    /// What Envoy has no room for yet is held as well.
    fn count_held(&mut self) {
        if let Some(running) = &mut self.running {
            running.place.holds(running.exchange.buffered() + self.outbox.held());
        }
    }

    /// Tells the exchange that it is gone, once. A gate that is still open, or a question for more of a limit, is waited
    /// for first, for what it grants has to be given back; but not when the process ends. The exchange keeps its
    /// place until then, so that a drain knows of it.
    fn finish(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        let (world, pool) = (self.world.clone(), self.pool.clone());
        let side = running.side.take().filter(|_| running.exchange.asks_for_more());
        let Some((slot, asked)) =
            running.gate.take().map(|gate| (Slot::Gate, gate)).or(side.map(|side| (Slot::Side, side)))
        else {
            return running.end(&*world, &pool);
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return running.end(&*world, &pool) };
        runtime.spawn(async move {
            let mut actions = Vec::new();
            running.exchange.on(Event::Stop(Stop::Leave), pool.now(), &mut actions);
            tokio::select! {
                biased;
                answer = asked => running.exchange.on(Event::Answer(slot, answer), pool.now(), &mut actions),
                () = pool.over() => {}
            }
            leave_all(&*world, running.permit.as_mut(), actions);
            running.end(&*world, &pool);
        });
    }
}

// === impl Running ===

impl Running {
    /// The last event, and what it leaves.
    fn end<W: World>(mut self, world: &W, pool: &Pool) {
        let mut actions = Vec::new();
        self.exchange.on(Event::Gone, pool.now(), &mut actions);
        leave_all(world, self.permit.as_mut(), actions);
    }
}

/// True when a message came that cannot be decoded (this server's decoder says so), or is too large
/// (`tonic` does). Other errors are ends of the connection.
fn is_unreadable(status: &Status) -> bool {
    matches!(status.code(), Code::InvalidArgument | Code::OutOfRange)
}

/// Works on a body of so many bytes: for a large one, other streams of this thread go on meanwhile, where the
/// runtime can.
fn beside(size: usize, work: impl FnOnce()) {
    if size <= LARGE {
        return work();
    }
    #[cfg(test)]
    tests::seen_large(size);
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

impl<W: World> Stream for Drive<W> {
    type Item = Result<Outgoing, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(message) = this.outbox.pop() {
                this.count_held();
                return Poll::Ready(Some(Ok(message)));
            }
            if this.running.is_none() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(event) = this.poll_awaited(cx) {
                // An answer may be all that a held body waited for, and an attempt writes it anew.
                let size = |running: &Running| match event {
                    Event::Attempt(ref attempt) => attempt.original.as_ref().map_or(0, Bytes::len),
                    _ => running.exchange.deciding(),
                };
                beside(this.running.as_ref().map_or(0, size), || this.tell(event));
                this.settle();
                continue;
            }
            match Pin::new(&mut this.inbound).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => {
                    if let Err(status) = this.take_mode(message.modes) {
                        this.finish();
                        return Poll::Ready(Some(Err(status)));
                    }
                    this.receive(message);
                    this.settle();
                }
                Poll::Ready(Some(Err(status))) if is_unreadable(&status) => {
                    this.pool.complain_of_message(status.message());
                    this.finish();
                    return Poll::Ready(Some(Err(status)));
                }
                // Either kind of end says nothing; see the head of this folder's `mod.rs`.
                Poll::Ready(Some(Err(_)) | None) => {
                    this.finish();
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    this.await_deadline(cx);
                    return Poll::Pending;
                }
            }
        }
    }
}

/// The server drops a stream that Envoy has reset without polling it again.
impl<W: World> Drop for Drive<W> {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests;
