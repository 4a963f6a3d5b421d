//! Vectors in the cache, each for itself: in memory, and in the store that replicas share; and who waits for those that
//! are on their way.

use std::collections::HashMap;
use std::time::Duration;

use super::Cache;
use super::leads::{How, Joined};
use crate::cache::entry::Entry;
use crate::cache::items::{Ask, Found, Item, Known, Remember};
use crate::cache::redis::Redis;
use crate::cache::{Key, Place, Reason, Ticket};

/// What is looked for, and what is known of it by now.
struct Looked<'a> {
    ask: &'a Ask,
    place: Place,
    keys: Vec<Key>,
    each: Vec<Option<Known>>,
}

/// Who leads and looks: when it is dropped before it is done, others lead.
struct Leading<'c> {
    cache: &'c Cache,
    ticket: Option<Ticket>,
}

// === impl Cache ===

impl Cache {
    /// Looks for vectors, where nobody has to be waited for; none where somebody has.
    pub fn recall_items_now(&self, ask: &Ask) -> Option<Found> {
        if !ask.reads {
            return Some(vec![None; ask.digests.len()].into());
        }
        let looked = self.look_for_items(ask);
        let missing = looked.missing();
        if missing.is_empty() {
            return Some(looked.each.into());
        }
        if self.store_of_items(ask).is_some() {
            return None;
        }
        let lead = match ask.coalesces().then(|| self.leads.join(missing)) {
            Some(Joined::Follow(_)) => return None,
            Some(Joined::Lead(ticket)) => Some(ticket),
            Some(Joined::Alone) | None => None,
        };
        Some(Found { lead, ..looked.each.into() })
    }

    /// Looks for vectors, and waits for those that others are about to get. A future that is dropped before it is done
    /// leaves nobody waiting.
    pub async fn recall_items(&self, ask: &Ask) -> Found {
        if !ask.reads {
            return vec![None; ask.digests.len()].into();
        }
        let mut looked = self.look_for_items(ask);
        let (mut leading, mut followed) = (Leading { cache: self, ticket: None }, false);
        while ask.coalesces() {
            let missing = looked.missing();
            if missing.is_empty() {
                break;
            }
            let endings = match self.leads.join(missing) {
                Joined::Follow(endings) => endings,
                Joined::Lead(ticket) => {
                    leading.ticket = Some(ticket);
                    break;
                }
                Joined::Alone => break,
            };
            followed = true;
            let mut parted = false;
            for ending in endings {
                let end = ending.wait().await;
                parted |= end.how == How::Parted;
                looked.take(|key| end.known.get(key).cloned());
            }
            if parted {
                break;
            }
            self.look_in_memory(&mut looked);
        }
        self.look_in_store(&mut looked, &mut leading).await;
        Found { lead: leading.ticket.take(), followed, each: looked.each }
    }

    /// What is looked for, with what is in memory.
    fn look_for_items<'a>(&self, ask: &'a Ask) -> Looked<'a> {
        let (place, keys) = self.secret().places(&ask.rule.namespace, &ask.partition, &ask.digests);
        let mut looked = Looked { ask, place, each: vec![None; keys.len()], keys };
        self.look_in_memory(&mut looked);
        looked
    }

    fn look_in_memory(&self, looked: &mut Looked<'_>) {
        let (now, place) = ((self.clock)(), looked.place.clone());
        looked.take(|key| self.item_in_memory(&place, key, now));
    }

    fn item_in_memory(&self, place: &Place, key: &Key, now: u64) -> Option<Known> {
        let entry = self.memory.get(place, key, now)?;
        let age = entry.age(now)?;
        let item = Item::decode(&entry);
        if item.is_none() {
            self.memory.remove(key, &entry);
        }
        Some(Known { item: item?, age })
    }

    /// Where a miss in memory is looked for as well. Nobody waits for what would have been.
    fn store_of_items(&self, ask: &Ask) -> Option<&Redis> {
        self.store.get().filter(|_| ask.reads && !ask.is_shadow && ask.rule.exact.is_some())
    }

    /// Looks in the store for all that is missing, and keeps in memory what is there.
    async fn look_in_store(&self, looked: &mut Looked<'_>, leading: &mut Leading<'_>) {
        let missing = looked.missing();
        let Some(store) = self.store_of_items(looked.ask).filter(|_| !missing.is_empty()) else { return };
        let held: usize = looked.each.iter().flatten().map(|known| known.item.vector.len()).sum();
        let room = looked.ask.room.saturating_sub(held);
        let found = store.get_each(&looked.place, &missing, room, Item::decode).await;
        let now = (self.clock)();
        let mut known = HashMap::with_capacity(missing.len());
        for (key, found) in missing.into_iter().zip(found) {
            let Some((entry, item)) = found else { continue };
            let Some(age) = entry.age(now) else { continue };
            let left = entry.ttl.saturating_sub(age);
            self.memory.put_for(&looked.place, key, entry, left);
            known.insert(key, Known { item, age });
        }
        looked.take(|key| known.get(key).cloned());
        let Some(ticket) = leading.ticket else { return };
        self.leads.know(ticket, known.into_iter());
        if looked.each.iter().all(Option::is_some) {
            leading.ticket = None;
            self.leads.end(ticket, How::Landed, std::iter::empty());
        }
    }

    /// Keeps vectors, each for itself, and gives them to who waits for them.
    pub(super) fn remember_items(&self, kept: Remember) {
        let Remember { rule, partition, room, items, lead } = kept;
        let digests: Vec<_> = items.iter().map(|(digest, _)| *digest).collect();
        let (place, keys) = self.secret().places(&rule.namespace, &partition, &digests);
        let Some(exact) = &rule.exact else {
            self.tally.not_kept(Reason::NotKept);
            return lead.into_iter().for_each(|lead| self.leads.end(lead, How::Parted, std::iter::empty()));
        };
        let most = exact.max_entry.map_or(room, |most| most.min(room));
        let stored = (self.clock)();
        for (key, (_, item)) in keys.iter().zip(&items) {
            match item.encode() {
                None => self.tally.not_kept(Reason::Lossy),
                Some(bytes) if bytes.len() as u64 > most => self.tally.not_kept(Reason::TooLarge),
                Some(bytes) => {
                    self.tally.kept(bytes.len());
                    let entry = Entry { bytes, stored, ttl: exact.ttl };
                    if let Some(store) = self.store.get() {
                        store.put_input(&place, key, entry.clone());
                    }
                    self.memory.put(&place, *key, entry);
                }
            }
        }
        if let Some(lead) = lead {
            let known = |(_, item)| Known { item, age: Duration::ZERO };
            self.leads.end(lead, How::Landed, keys.into_iter().zip(items.into_iter().map(known)));
        }
    }
}

// === impl Looked ===

impl Looked<'_> {
    /// Of what is not known.
    fn missing(&self) -> Vec<Key> {
        self.keys.iter().zip(&self.each).filter(|(_, known)| known.is_none()).map(|(key, _)| *key).collect()
    }

    /// Takes what is known of it elsewhere, if it is new enough for the caller and for the rule as it is today.
    fn take(&mut self, find: impl Fn(&Key) -> Option<Known>) {
        let Some(ttl) = self.ask.rule.exact.as_ref().map(|exact| exact.ttl) else { return };
        let is_new = |known: &Known| known.age < ttl && self.ask.max_age.is_none_or(|most| known.age <= most);
        for (key, known) in self.keys.iter().zip(&mut self.each) {
            if known.is_none() {
                *known = find(key).filter(is_new);
            }
        }
    }
}

// === impl Leading ===

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.cache.leads.end(ticket, How::Forsaken, std::iter::empty());
        }
    }
}

#[cfg(test)]
mod tests;
