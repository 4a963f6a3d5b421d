//! The policy in force, which a reload replaces.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;

use crate::policy::Policy;

/// The policy in force, of which there is always one, and the one before it for as long as exchanges keep
/// it. A clone shares them.
#[derive(Clone, Debug)]
pub struct Policies {
    now: Arc<ArcSwap<Policy>>,
    /// Weak, for when the last exchange lets go of it its backends may leave the proxy, and its keys memory.
    before: Arc<ArcSwap<Weak<Policy>>>,
}

// === impl Policies ===

impl Policies {
    /// With this one in force.
    pub(super) fn new(policy: Arc<Policy>) -> Self {
        Policies { now: Arc::new(ArcSwap::new(policy)), before: Arc::default() }
    }

    pub fn get(&self) -> Arc<Policy> {
        self.now.load_full()
    }

    /// Puts another policy in force for exchanges that begin from now on, and gives the one before:
    /// exchanges that run keep it. One caller at a time: it counts them.
    pub fn replace(&self, mut policy: Policy) -> Arc<Policy> {
        policy.generation = self.get().generation.wrapping_add(1);
        let before = self.now.swap(Arc::new(policy));
        self.before.store(Arc::new(Arc::downgrade(&before)));
        before
    }

    /// The policy of this generation, if it is in force, or was just before and exchanges still run by it:
    /// what is told of later is told without words of another one, which is not kept.
    pub fn generation(&self, generation: u64) -> Option<Arc<Policy>> {
        let kept = [Some(self.get()), self.before.load().upgrade()];
        kept.into_iter().flatten().find(|policy| policy.generation == generation)
    }
}
