//! Many patterns over one name: which is the first that matches. Exact words are found by their hash;
//! of patterns with stars only those are tried whose literal beginning the name has.

use std::collections::HashMap;

use crate::base::glob::Glob;

/// Patterns in the order of their documents.
#[derive(Clone, Debug, Default)]
pub struct Index {
    exact: HashMap<Box<str>, u32>,
    /// By literal beginning.
    globs: HashMap<Box<str>, Vec<(u32, Glob)>>,
    /// The lengths of the beginnings that there are, each once, the shortest first.
    lengths: Vec<usize>,
}

// === impl Index ===

impl Index {
    /// Adds a pattern that stands for `owner`. Of two that match, the one with the lower owner counts.
    pub fn add(&mut self, glob: &Glob, owner: u32) {
        if glob.is_exact() {
            let first = self.exact.entry(glob.as_str().into()).or_insert(owner);
            *first = owner.min(*first);
            return;
        }
        let prefix = glob.prefix();
        if let Err(at) = self.lengths.binary_search(&prefix.len()) {
            self.lengths.insert(at, prefix.len());
        }
        let bucket = self.globs.entry(prefix.into()).or_default();
        let at = bucket.partition_point(|(other, _)| *other <= owner);
        bucket.insert(at, (owner, glob.clone()));
    }

    /// The lowest owner of all patterns that match.
    pub fn first(&self, name: &str) -> Option<u32> {
        let mut found = self.exact.get(name).copied();
        for &length in &self.lengths {
            // Half a character is the beginning of no pattern.
            let Some(prefix) = name.get(..length) else { continue };
            let Some(bucket) = self.globs.get(prefix) else { continue };
            let before = |owner: u32| found.is_none_or(|found| owner < found);
            let better = bucket.iter().take_while(|(owner, _)| before(*owner)).find(|(_, glob)| glob.matches(name));
            if let Some((owner, _)) = better {
                found = Some(*owner);
            }
        }
        found
    }

    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.globs.is_empty()
    }
}
