//! Which backends failed just now and are left alone for a while. Kept in the process, by name, so that
//! it outlives a reload; a function of what was observed and of the time it is told, without a clock.
//!
//! A limit belongs to a key and a model, as providers count it, and so does a model that the key may not
//! use; a key that is refused is refused for every model. What else fails fails for the whole backend.
//! Keys are told apart by their places in the configuration. All of it is a hint: when everything cools down, the choice
//! whose time ends first is used all the same.
//!
//! What concerns a key is the provider's word on an account, and holds wherever that account is used: it is told to
//! other replicas, and learnt of them. What fails for the whole backend is not: each replica has its own way there, and
//! what is broken between one of them and the provider is not broken for the others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::base::now::Instant;

/// How long a backend cools down where neither it nor the rule says so.
pub const COOLDOWN: Duration = Duration::from_secs(30);

/// The longest that a backend's own word is obeyed, and the longest that a rule may say.
pub const MAX_COOLDOWN: Duration = Duration::from_secs(3600);

/// How long at most a key that was refused is not tried: somebody is changing it, or will.
pub const DENIED: Duration = Duration::from_secs(10);

/// As many failures in a row cool a backend down; one alone happens to every provider.
const STREAK: u32 = 3;

/// Models of one key that are remembered. A caller can make up names, so above that the one whose
/// time ends first makes room.
const MAX_MODELS: usize = 256;

/// Backends that are remembered; above that, those go that cool down no more. Names are those of
/// configurations, so only thousands of reloads with new names come so far.
const MAX_BACKENDS: usize = 4096;

/// What is known of all backends. Shared by reference: while nothing has failed a look-up is one load of
/// an integer.
#[derive(Debug, Default)]
pub struct Health {
    /// How many backends something is known of.
    noted: AtomicUsize,
    table: RwLock<HashMap<Arc<str>, State>>,
}

/// What one answer tells of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered; it may have found fault with the request.
    Success,
    /// 429, with the time after which it may be asked again if it said one.
    RateLimited(Option<Duration>),
    /// It does not accept the key.
    Denied,
    /// It accepts the key, but not for this model.
    Forbidden,
    /// No connection could be made.
    Unreachable,
    /// 5xx.
    Failed,
}

/// One answer, and whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    pub backend: Arc<str>,
    /// Which of the backend's credentials was on the call.
    pub credential: usize,
    /// The model name that left.
    pub model: Arc<str>,
    pub outcome: Outcome,
    /// What the rule says of [`COOLDOWN`].
    pub cooldown: Option<Duration>,
    pub at: Instant,
}

/// What is left alone until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cooling {
    pub backend: Arc<str>,
    /// Which of its credentials; none for the whole backend.
    pub credential: Option<usize>,
    /// With this model alone; none for every model.
    pub model: Option<Arc<str>>,
    pub until: Instant,
}

#[derive(Debug, Default)]
struct State {
    until: Instant,
    /// Failures since the last success.
    streak: u32,
    /// By credential.
    keys: HashMap<usize, Key>,
}

#[derive(Debug, Default)]
struct Key {
    until: Instant,
    models: HashMap<Arc<str>, Instant>,
}

// === impl Health ===

impl Health {
    /// Nothing has failed.
    pub fn new() -> Health {
        Health::default()
    }

    /// Takes an answer into account. Where it is the provider's word on a key, until when that holds.
    pub fn observe(&self, seen: &Observation) -> Option<Cooling> {
        if seen.outcome == Outcome::Success && !self.is_noted(&seen.backend) {
            return None;
        }
        self.change(&seen.backend, seen.at, |state| {
            state.observe(seen);
            let key = state.keys.get(&seen.credential)?;
            let (model, until) = match seen.outcome {
                Outcome::RateLimited(_) | Outcome::Forbidden => {
                    (Some(seen.model.clone()), key.models.get(&seen.model).copied()?)
                }
                Outcome::Denied => (None, key.until),
                Outcome::Success | Outcome::Unreachable | Outcome::Failed => return None,
            };
            Some(Cooling { backend: seen.backend.clone(), credential: Some(seen.credential), model, until })
        })
    }

    /// Believes another replica that a key, or a model of it, is to be left alone for so long, though never longer than
    /// one that was seen here.
    pub fn learn(&self, backend: &Arc<str>, credential: usize, model: Option<&Arc<str>>, now: Instant, time: Duration) {
        self.change(backend, now, |state| {
            let key = state.keys.entry(credential).or_default();
            match model {
                Some(model) => key.cool_model(model, now, time),
                None => cool(&mut key.until, now, time.min(DENIED)),
            }
        });
    }

    fn change<T>(&self, backend: &Arc<str>, now: Instant, change: impl FnOnce(&mut State) -> T) -> T {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= MAX_BACKENDS {
            table.retain(|_, state| state.is_cooling(now));
        }
        let state = table.entry(backend.clone()).or_default();
        let changed = change(state);
        if state.is_quiet(now) {
            table.remove(backend);
        }
        self.noted.store(table.len(), Ordering::Relaxed);
        changed
    }

    /// All that cools down, in the order of the backends' names, the keys' places and the models.
    pub fn list(&self, now: Instant) -> Vec<Cooling> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::new();
        for (backend, state) in table.iter() {
            let mut tell = |credential, model: Option<&Arc<str>>, until| {
                if until > now {
                    all.push(Cooling { backend: backend.clone(), credential, model: model.cloned(), until });
                }
            };
            tell(None, None, state.until);
            for (credential, key) in &state.keys {
                tell(Some(*credential), None, key.until);
                key.models.iter().for_each(|(model, until)| tell(Some(*credential), Some(model), *until));
            }
        }
        let place = |one: &Cooling| (one.backend.clone(), one.credential, one.model.clone());
        all.sort_by_key(place);
        all
    }

    /// Until when a backend is left alone for this model with this credential; none when it may be used
    /// at `now`.
    pub fn cooling_until(&self, backend: &str, credential: usize, model: &str, now: Instant) -> Option<Instant> {
        if self.noted.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let state = table.get(backend)?;
        let key = state.keys.get(&credential);
        let of_key = key.map(|key| key.models.get(model).map_or(key.until, |&until| until.max(key.until)));
        let until = of_key.map_or(state.until, |until| until.max(state.until));
        (until > now).then_some(until)
    }

    /// True when a success of this backend would change what is known of it.
    pub fn awaits_success(&self, backend: &str, now: Instant) -> bool {
        if self.noted.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.get(backend).is_some_and(|state| state.streak > 0 || !state.is_cooling(now))
    }

    fn is_noted(&self, backend: &str) -> bool {
        self.noted.load(Ordering::Relaxed) > 0
            && self.table.read().unwrap_or_else(PoisonError::into_inner).contains_key(backend)
    }
}

// === impl State ===

impl State {
    fn observe(&mut self, seen: &Observation) {
        let usual = seen.cooldown.unwrap_or(COOLDOWN);
        match seen.outcome {
            Outcome::Success => self.streak = 0,
            // An answer, though not the one that was wanted.
            Outcome::RateLimited(after) => {
                self.streak = 0;
                self.key(seen).cool_model(&seen.model, seen.at, after.unwrap_or(usual));
            }
            Outcome::Forbidden => {
                self.streak = 0;
                self.key(seen).cool_model(&seen.model, seen.at, usual.min(DENIED));
            }
            Outcome::Denied => {
                self.streak = 0;
                cool(&mut self.key(seen).until, seen.at, usual.min(DENIED));
            }
            Outcome::Unreachable => cool(&mut self.until, seen.at, usual),
            Outcome::Failed => {
                self.streak = self.streak.saturating_add(1);
                if self.streak >= STREAK {
                    cool(&mut self.until, seen.at, usual);
                }
            }
        }
    }

    fn key(&mut self, seen: &Observation) -> &mut Key {
        self.keys.entry(seen.credential).or_default()
    }

    fn is_cooling(&self, now: Instant) -> bool {
        self.until > now || self.keys.values().any(|key| key.is_cooling(now))
    }

    /// Nothing of it makes a difference any more.
    fn is_quiet(&self, now: Instant) -> bool {
        self.streak == 0 && !self.is_cooling(now)
    }
}

// === impl Key ===

impl Key {
    fn cool_model(&mut self, model: &Arc<str>, at: Instant, time: Duration) {
        if self.models.len() >= MAX_MODELS && !self.models.contains_key(model) {
            self.models.retain(|_, until| *until > at);
            if self.models.len() >= MAX_MODELS {
                let first = self.models.iter().min_by_key(|(_, until)| **until).map(|(model, _)| model.clone());
                first.map(|model| self.models.remove(&model));
            }
        }
        cool(self.models.entry(model.clone()).or_default(), at, time);
    }

    fn is_cooling(&self, now: Instant) -> bool {
        self.until > now || self.models.values().any(|until| *until > now)
    }
}

/// Never less than what was said before.
fn cool(until: &mut Instant, at: Instant, time: Duration) {
    *until = (*until).max(at.plus(time.min(MAX_COOLDOWN)));
}

#[cfg(test)]
mod tests;
