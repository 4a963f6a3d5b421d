//! The vectors of kept answers, by place and fingerprint: what is nearest to a question is looked for among those alone
//! that the same callers may read and that differ in nothing but the question. The scan is exact; see [`group`].
//!
//! Memory is bounded in bytes, over all places and for each. What has expired goes first, then the oldest entry of the
//! place that holds most: whoever fills an index pushes out his own entries, not another's.

mod group;
mod slab;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use super::vector::Vector;
use crate::cache::{Key, Place};

use group::Group;
use slab::Slab;

/// How many bytes an index may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub bytes: usize,
    /// For one place. A question takes as long as its fingerprint is large: 100,000 entries of 384 dimensions, which
    /// are 100 MiB, about 2 ms where there is AVX2, and 5 to 9 ms where not.
    pub place: usize,
}

/// The vector of a kept question.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Of the entry that has the answer.
    pub key: Key,
    pub vector: Vector,
    /// When the answer was stored, and from when on it is no longer found: seconds since the Unix epoch.
    pub stored: u64,
    pub expires: u64,
}

/// Vectors by place and fingerprint.
pub struct Index {
    limit: Limit,
    places: HashMap<Place, u32>,
    rooms: Slab<Room>,
    shelves: Slab<Shelf>,
    nodes: Slab<Node>,
    /// All entries by when they expire, and all rooms by their bytes.
    expiry: BTreeSet<(u64, u32)>,
    sizes: BTreeSet<(usize, u32)>,
    bytes: usize,
}

/// What is kept of one place.
struct Room {
    place: Place,
    /// By fingerprint and dimensions: another embedder's vectors are compared with nothing.
    shelves: HashMap<(Key, usize), u32>,
    nodes: HashMap<Key, u32>,
    /// By when they were stored.
    ages: BTreeSet<(u64, u32)>,
    bytes: usize,
}

/// What is kept for one fingerprint.
struct Shelf {
    room: u32,
    name: (Key, usize),
    group: Group,
}

/// Where an entry is.
struct Node {
    key: Key,
    shelf: u32,
    at: usize,
    stored: u64,
    expires: u64,
}

/// How many are found at most: a veto may stand against the first ones.
pub const MOST: usize = 32;

/// How many expired entries are taken out whenever one is added, so that none of it is ever much work.
const SWEEP: usize = 8;

/// What an entry costs beside its vector, in bytes: its node, two rows in order and one in a map, with the room that
/// those keep to grow.
const ENTRY: usize = 256;

/// What a fingerprint and a place cost beside that, in bytes.
const SHELF: usize = 256;
const ROOM: usize = 768;

// === impl Index ===

impl Index {
    pub fn new(limit: Limit) -> Index {
        Index {
            limit,
            places: HashMap::new(),
            rooms: Slab::default(),
            shelves: Slab::default(),
            nodes: Slab::default(),
            expiry: BTreeSet::new(),
            sizes: BTreeSet::new(),
            bytes: 0,
        }
    }

    /// How many entries there are, expired ones too.
    pub fn len(&self) -> usize {
        self.expiry.len()
    }

    pub fn is_empty(&self) -> bool {
        self.expiry.is_empty()
    }

    /// The bytes that it holds, as they count against the limit.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where anything is.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.keys()
    }

    /// Adds an entry, in place of one with the same key. Whether it is there now: not if it has expired, and not if
    /// what there is room for is younger.
    ///
    /// The fingerprint is of all that the answer depends on except the question, the embedder included.
    pub fn add(&mut self, place: &Place, fingerprint: Key, kept: &Kept, now: u64) -> bool {
        let expired = self.expiry.range(..(now.saturating_add(1), 0)).take(SWEEP).map(|(_, node)| *node);
        expired.collect::<Vec<u32>>().into_iter().for_each(|node| self.take_out(node));
        self.remove(place, &kept.key);
        let least = ROOM + SHELF + ENTRY + Group::least(kept.vector.dimensions());
        if kept.expires <= now || least > self.limit.bytes.min(self.limit.place) {
            return false;
        }
        let room = self.room(place);
        let shelf = self.shelf(room, (fingerprint, kept.vector.dimensions()));
        let Kept { key, stored, expires, .. } = *kept;
        let node = self.nodes.insert(Node { key, shelf, at: 0, stored, expires });
        self.expiry.insert((expires, node));
        if let Some(room) = self.rooms.get_mut(room) {
            room.nodes.insert(key, node);
            room.ages.insert((stored, node));
        }
        self.change(shelf, |group| (group.push(&kept.vector, node), ENTRY))
            .zip(self.nodes.get_mut(node))
            .into_iter()
            .for_each(|(at, node)| node.at = at);
        self.make_room(room, now);
        self.nodes.get(node).is_some()
    }

    /// Adds all that a store holds for a fingerprint; how many of them are there now.
    pub fn load(&mut self, place: &Place, fingerprint: Key, all: &[Kept], now: u64) -> usize {
        for kept in all {
            self.add(place, fingerprint, kept, now);
        }
        let nodes = self.places.get(place).and_then(|room| self.rooms.get(*room)).map(|room| &room.nodes);
        nodes.map_or(0, |nodes| all.iter().filter(|kept| nodes.contains_key(&kept.key)).count())
    }

    /// Takes an entry out; whether it was there.
    pub fn remove(&mut self, place: &Place, key: &Key) -> bool {
        let room = self.places.get(place).and_then(|room| self.rooms.get(*room));
        let node = room.and_then(|room| room.nodes.get(key)).copied();
        node.into_iter().for_each(|node| self.take_out(node));
        node.is_some()
    }

    /// Takes out all that is in a place; how many entries that were.
    pub fn forget(&mut self, place: &Place) -> usize {
        let room = self.places.get(place).and_then(|room| self.rooms.get(*room));
        let nodes: Vec<u32> = room.map_or_else(Vec::new, |room| room.nodes.values().copied().collect());
        nodes.iter().for_each(|node| self.take_out(*node));
        nodes.len()
    }

    /// The entries whose questions are at least as near to this one as `at_least`, best first, [`MOST`] at most, with
    /// how near they are. Of equals, the order is that in which they lie.
    pub fn nearest(
        &self,
        place: &Place,
        fingerprint: Key,
        vector: &Vector,
        now: u64,
        at_least: f32,
    ) -> Vec<(Key, f32)> {
        let room = self.places.get(place).and_then(|room| self.rooms.get(*room));
        let shelf = room.and_then(|room| room.shelves.get(&(fingerprint, vector.dimensions())));
        let Some(shelf) = shelf.and_then(|shelf| self.shelves.get(*shelf)) else { return Vec::new() };
        let lives = |node| self.nodes.get(node).is_some_and(|node| now < node.expires);
        let near = shelf.group.nearest(vector, MOST, at_least, lives);
        near.into_iter().filter_map(|near| Some((self.nodes.get(near.entry)?.key, near.similarity))).collect()
    }

    /// The number of a place's room.
    fn room(&mut self, place: &Place) -> u32 {
        if let Some(room) = self.places.get(place) {
            return *room;
        }
        let (shelves, nodes, ages) = (HashMap::new(), HashMap::new(), BTreeSet::new());
        let room = self.rooms.insert(Room { place: place.clone(), shelves, nodes, ages, bytes: ROOM });
        self.places.insert(place.clone(), room);
        self.sizes.insert((ROOM, room));
        self.bytes += ROOM;
        room
    }

    /// The number of a fingerprint's shelf in a room.
    fn shelf(&mut self, room: u32, name: (Key, usize)) -> u32 {
        if let Some(shelf) = self.rooms.get(room).and_then(|room| room.shelves.get(&name)) {
            return *shelf;
        }
        let shelf = self.shelves.insert(Shelf { room, name, group: Group::new(name.1) });
        if let Some(room) = self.rooms.get_mut(room) {
            room.shelves.insert(name, shelf);
        }
        self.charge(room, SHELF, 0);
        shelf
    }

    /// Changes what is on a shelf, and counts how its bytes and those of its entries change.
    fn change<T>(&mut self, shelf: u32, change: impl FnOnce(&mut Group) -> (T, usize)) -> Option<T> {
        let shelf = self.shelves.get_mut(shelf)?;
        let (room, before) = (shelf.room, shelf.group.bytes());
        let (result, more) = change(&mut shelf.group);
        let after = shelf.group.bytes();
        self.charge(room, after + more, before);
        Some(result)
    }

    /// Counts bytes that came and went.
    fn charge(&mut self, number: u32, more: usize, less: usize) {
        let Some(room) = self.rooms.get_mut(number) else { return };
        self.sizes.remove(&(room.bytes, number));
        room.bytes = (room.bytes + more).saturating_sub(less);
        self.sizes.insert((room.bytes, number));
        self.bytes = (self.bytes + more).saturating_sub(less);
    }

    /// Takes out what there is no room for, after something was added to a place.
    fn make_room(&mut self, room: u32, now: u64) {
        while let Some(full) = self.rooms.get(room).filter(|room| room.bytes > self.limit.place) {
            let Some((_, oldest)) = full.ages.first().copied() else { break };
            self.take_out(oldest);
        }
        while self.bytes > self.limit.bytes {
            let expired = self.expiry.first().filter(|(expires, _)| *expires <= now).map(|(_, node)| *node);
            let largest = || self.rooms.get(self.sizes.last()?.1)?.ages.first().map(|(_, node)| *node);
            let Some(node) = expired.or_else(largest) else { break };
            self.take_out(node);
        }
    }

    /// Takes an entry out, and the shelf and room that are empty then.
    fn take_out(&mut self, number: u32) {
        let Some(node) = self.nodes.remove(number) else { return };
        self.expiry.remove(&(node.expires, number));
        let moved = self.change(node.shelf, |group| (group.remove(node.at), 0)).flatten();
        if let Some(moved) = moved.and_then(|moved| self.nodes.get_mut(moved)) {
            moved.at = node.at;
        }
        let Some((room, name, left)) =
            self.shelves.get(node.shelf).map(|shelf| (shelf.room, shelf.name, shelf.group.len()))
        else {
            return;
        };
        let emptied = if left == 0 {
            let bytes = self.shelves.remove(node.shelf).map_or(0, |shelf| shelf.group.bytes());
            SHELF + bytes
        } else {
            0
        };
        self.charge(room, 0, ENTRY + emptied);
        let Some(of) = self.rooms.get_mut(room) else { return };
        of.nodes.remove(&node.key);
        of.ages.remove(&(node.stored, number));
        if left == 0 {
            of.shelves.remove(&name);
        }
        if of.nodes.is_empty()
            && let Some(empty) = self.rooms.remove(room)
        {
            self.places.remove(&empty.place);
            self.sizes.remove(&(empty.bytes, room));
            self.bytes = self.bytes.saturating_sub(empty.bytes);
        }
    }
}
