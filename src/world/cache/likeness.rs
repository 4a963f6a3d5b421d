//! Answers to like questions: vectors of questions, where they come from, and what is served by them. It is asked only
//! behind what is exactly the same, and nothing waits for it in Shadow.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::flights::Wanted;
use super::tally::Like;
use super::{Cache, Looked};
use crate::cache::semantic::{self, Index, Kept, Limit, Vector, lexical, veto};
use crate::cache::{Ask, Embedder, Entry, Extent, Hit, Key, Place, Semantic, Similar, redis};
use crate::identity::Principal;
use crate::llm::Reply;

/// The bytes of vectors that a process holds, and of those that one place may have.
const LIMIT: Limit = Limit { bytes: 32 << 20, place: 8 << 20 };

/// The vectors of a process.
pub(super) struct Likeness(Mutex<Index>);

/// What an answer is kept under, for who asks alike.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub fingerprint: Key,
    pub vector: Vector,
    /// As the embedder gave it.
    pub components: Arc<[f32]>,
}

// === impl Likeness ===

impl Default for Likeness {
    fn default() -> Self {
        Likeness(Mutex::new(Index::new(LIMIT)))
    }
}

impl Likeness {
    /// Forgets what an extent covers.
    pub fn forget(&self, extent: &Extent) {
        let mut index = self.lock();
        let meant: Vec<Place> = index.places().filter(|place| extent.covers(place)).cloned().collect();
        meant.iter().for_each(|place| _ = index.forget(place));
    }

    pub fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Cache ===

impl Cache {
    /// Whether an answer to a like question may be served to this call, and how it is embedded.
    pub(super) fn serves_alike(ask: &Ask) -> Option<(&Semantic, &Similar)> {
        let semantic =
            ask.rule.semantic.as_ref().filter(|semantic| semantic.enforced && ask.reads && !ask.is_shadow)?;
        Some((semantic, ask.similar.as_deref()?))
    }

    /// The answer to the nearest like question against which nothing speaks.
    pub(super) async fn recall_alike(
        &self,
        ask: &Ask,
        looked: &Looked,
        caller: &Arc<Principal>,
    ) -> (Option<Hit>, Option<Placed>) {
        let Some((semantic, similar)) = Cache::serves_alike(ask) else { return (None, None) };
        let Some(placed) = self.place(semantic, similar, looked, caller).await else { return (None, None) };
        let found = self.nearest(similar, &placed, looked).await;
        let now = (self.clock)();
        let hit = found.and_then(|entry| self.hit(ask, &entry, now)).map(|hit| Hit { is_similar: true, ..hit });
        (hit, Some(placed))
    }

    /// The vector of a question, and where it belongs; none where nobody embeds it.
    async fn place(
        &self,
        semantic: &Semantic,
        similar: &Similar,
        looked: &Looked,
        caller: &Arc<Principal>,
    ) -> Option<Placed> {
        let text = &similar.question.text;
        // What is longer is alike to nothing.
        if text.len() > semantic::veto::LONGEST {
            return None;
        }
        let components = match &semantic.embedder {
            Embedder::Lexical => lexical::embed(text),
            Embedder::Backend(backend, model) => self.own.get()?.embed(caller.clone(), backend, model, text).await,
            Embedder::Local(path) => self.local.embed(path, text).await,
        };
        let embedded = components.and_then(|components| Some((Vector::new(&components).ok()?, components)));
        let Some((vector, components)) = embedded else {
            self.tally.like(Like::NotEmbedded);
            return None;
        };
        // Another embedder's vectors are compared with nothing.
        let name = match &semantic.embedder {
            Embedder::Lexical => lexical::VERSION.to_owned(),
            Embedder::Backend(backend, model) => format!("{backend}/{model}"),
            Embedder::Local(path) => path.to_string(),
        };
        let fingerprint = self.secret().fingerprint(&looked.place, similar.question.fingerprint, &name);
        Some(Placed { fingerprint, vector, components: components.into() })
    }

    /// The nearest entry whose question may share its answer with this one.
    async fn nearest(&self, similar: &Similar, placed: &Placed, looked: &Looked) -> Option<Entry> {
        let place = &looked.place;
        self.load(place, placed).await;
        let now = (self.clock)();
        let found =
            self.likeness.lock().nearest(place, placed.fingerprint, &placed.vector, now, similar.threshold.floor());
        for (key, _) in found.into_iter().filter(|(_, similarity)| similar.threshold.admits(*similarity)) {
            // The same question is no like one.
            if key == looked.key {
                continue;
            }
            let Some(entry) = self.fetch(place, &key, now).await else {
                self.likeness.lock().remove(place, &key);
                continue;
            };
            let Some(asked) = entry.question() else { continue };
            match veto(&similar.question.text, &asked) {
                None => return Some(entry),
                Some(why) => self.tally.like(Like::Vetoed(why)),
            }
        }
        None
    }

    /// What other replicas keep of this fingerprint is held here as well, once.
    async fn load(&self, place: &Place, placed: &Placed) {
        let Some(store) = self.store.get() else { return };
        let now = (self.clock)();
        if !self.loaded.is_due(placed.fingerprint, now) {
            return;
        }
        let vectors = store.vectors(place, &placed.fingerprint).await;
        let kept: Vec<Kept> = vectors
            .into_iter()
            .filter_map(|one| {
                let vector = Vector::new(&one.values).ok()?;
                let expires = one.stored.saturating_add(one.ttl.as_secs());
                Some(Kept { key: one.key, vector, stored: one.stored, expires })
            })
            .collect();
        self.likeness.lock().load(place, placed.fingerprint, &kept, now);
    }

    /// Lets an answer that is kept be found by like questions. In Shadow what would have been served is counted first.
    pub(super) fn learn(self: &Arc<Self>, wanted: Wanted, reply: Reply, placed: Option<Placed>) {
        let Some((semantic, similar)) = wanted.rule.semantic.clone().zip(wanted.similar.clone()) else { return };
        let looked = Looked { place: wanted.place.clone(), key: wanted.key };
        let cache = self.clone();
        let work = async move {
            let placed = match placed {
                Some(placed) => placed,
                None => match cache.place(&semantic, &similar, &looked, &wanted.caller).await {
                    Some(placed) => placed,
                    None => return,
                },
            };
            if !semantic.enforced {
                cache.compare(&similar, &placed, &looked, &reply).await;
            }
            cache.add(&looked, &placed, &similar, semantic.ttl);
        };
        // Without a runtime there is nobody to serve.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(work);
        }
    }

    /// What would have been served instead of this answer, and whether it says the same.
    async fn compare(&self, similar: &Similar, placed: &Placed, looked: &Looked, reply: &Reply) {
        let Some(entry) = self.nearest(similar, placed, looked).await else { return };
        let Some((would, _)) = entry.decode() else { return };
        let (would, is) = (would.text(), reply.text());
        let alike = match would == is {
            true => Like::WouldSame,
            false => match lexical::embed(&would).zip(lexical::embed(&is)) {
                Some((one, other)) if dot(&one, &other) >= ALIKE => Like::WouldAlike,
                _ => Like::WouldDiffer,
            },
        };
        self.tally.like(alike);
    }

    fn add(&self, looked: &Looked, placed: &Placed, similar: &Similar, ttl: Duration) {
        let now = (self.clock)();
        let kept = Kept {
            key: looked.key,
            vector: placed.vector.clone(),
            stored: now,
            expires: now.saturating_add(ttl.as_secs()),
        };
        self.likeness.lock().add(&looked.place, placed.fingerprint, &kept, now);
        let Some(store) = self.store.get() else { return };
        let vector = redis::Vector {
            key: looked.key,
            values: placed.components.clone(),
            question: similar.question.text.as_str().into(),
            stored: now,
            ttl,
        };
        store.add(&looked.place, &placed.fingerprint, vector);
    }
}

/// From here on two answers are spelt alike: more of them is the same than not.
const ALIKE: f32 = 0.8;

fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}
