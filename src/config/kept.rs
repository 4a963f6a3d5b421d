//! Secrets that change while the process runs: what was read last of each file stays in use until
//! something usable is there again. A rotation that deletes and then creates, or that writes in place,
//! has a moment without a key, and calls must not fail in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::secret::{SecretError, Secrets, is_header_value};
use crate::base::secret::Secret;

/// Wraps where secrets come from. Every file that is asked for is remembered until [`Kept::begin`] and
/// [`Kept::settle`] show that nothing asks for it any more.
pub struct Kept<S> {
    from: S,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was given out for each file.
    files: BTreeMap<PathBuf, Result<Text, SecretError>>,
    /// Asked for since the beginning of this load.
    asked: BTreeSet<PathBuf>,
    /// Those of them that are kept although the file does not hold it any more.
    kept: BTreeSet<PathBuf>,
}

/// Not seen by `Debug`.
#[derive(Clone, PartialEq, Eq)]
struct Text(String);

// === impl Kept ===

impl<S: Secrets> Kept<S> {
    /// Nothing is remembered yet.
    pub fn new(from: S) -> Self {
        Kept { from, state: Mutex::default() }
    }

    /// A load begins: what it asks for counts.
    pub fn begin(&self) {
        let mut state = self.state();
        state.asked.clear();
        state.kept.clear();
    }

    /// The load is in force: files that it did not ask for are forgotten.
    pub fn settle(&self) {
        let mut state = self.state();
        let asked = std::mem::take(&mut state.asked);
        state.files.retain(|path, _| asked.contains(path));
        state.asked = asked;
    }

    /// The files that were asked for, found or not.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state().files.keys().cloned().collect()
    }

    /// Files whose last content is in use and does not stand in them any more.
    pub fn kept(&self) -> Vec<PathBuf> {
        self.state().kept.iter().cloned().collect()
    }

    /// Reads all files again: whether another load would come to something else than the last one did.
    pub fn have_changed(&self) -> bool {
        let before = self.state().files.clone();
        let kept = self.state().kept.clone();
        before.iter().any(|(path, last)| {
            let found = self.from.file(path).map(Text);
            let (text, is_kept) = choose(Some(last), found);
            text != *last || is_kept != kept.contains(path)
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned lock still guards consistent maps: every change is one insert.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Secrets> Secrets for Kept<S> {
    fn env(&self, name: &str) -> Option<String> {
        self.from.env(name)
    }

    fn file(&self, path: &Path) -> Result<String, SecretError> {
        let found = self.from.file(path).map(Text);
        let mut state = self.state();
        let (text, is_kept) = choose(state.files.get(path), found);
        state.files.insert(path.to_owned(), text.clone());
        state.asked.insert(path.to_owned());
        if is_kept {
            state.kept.insert(path.to_owned());
        }
        text.map(|text| text.0)
    }

    fn peek(&self, path: &Path) -> Result<String, SecretError> {
        self.from.peek(path)
    }
}

/// What is given out for a file, and whether that is what it held before. A key, or a file of credentials in
/// JSON, that has become no key
/// is kept; what never was one (a CA bundle) is taken as it is found.
fn choose(
    last: Option<&Result<Text, SecretError>>,
    found: Result<Text, SecretError>,
) -> (Result<Text, SecretError>, bool) {
    let is_json = |text: &str| text.starts_with('{') && text.ends_with('}');
    let is_key = |text: &Text| is_header_value(&Secret::new(&text.0)) || is_json(text.0.trim());
    match last {
        Some(Ok(last)) if is_key(last) && !found.as_ref().is_ok_and(is_key) => (Ok(last.clone()), true),
        _ => (found, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One file.
    struct One(Mutex<Result<&'static str, SecretError>>);

    impl Secrets for One {
        fn env(&self, _: &str) -> Option<String> {
            None
        }

        fn file(&self, _: &Path) -> Result<String, SecretError> {
            self.0.lock().unwrap().map(str::to_owned)
        }
    }

    fn one(text: Result<&'static str, SecretError>) -> Kept<One> {
        Kept::new(One(Mutex::new(text)))
    }

    fn put(secrets: &Kept<One>, text: Result<&'static str, SecretError>) {
        *secrets.from.0.lock().unwrap() = text;
    }

    fn read(secrets: &Kept<One>) -> Result<String, SecretError> {
        secrets.begin();
        let text = secrets.file(Path::new("/key"));
        secrets.settle();
        text
    }

    #[test]
    fn a_key_stays_until_another_one_is_there() {
        let secrets = one(Ok("old\n"));
        assert_eq!(read(&secrets).as_deref(), Ok("old\n"));
        assert!(!secrets.have_changed());
        for gone in [Err(SecretError::NotFound), Ok(""), Ok(" \n"), Ok("two\nlines"), Err(SecretError::NotText)] {
            put(&secrets, gone);
            assert_eq!((read(&secrets).as_deref(), secrets.kept().len()), (Ok("old\n"), 1), "{gone:?}");
            assert!(!secrets.have_changed(), "nothing more is known than before");
        }
        put(&secrets, Ok("new"));
        assert!(secrets.have_changed());
        assert_eq!((read(&secrets).as_deref(), secrets.kept().len()), (Ok("new"), 0));
    }

    #[test]
    fn that_a_key_is_gone_and_that_it_is_back_are_changes() {
        let secrets = one(Ok("key"));
        read(&secrets).unwrap();
        put(&secrets, Err(SecretError::NotFound));
        assert!(secrets.have_changed());
        read(&secrets).unwrap();
        put(&secrets, Ok("key"));
        assert!(secrets.have_changed());
        read(&secrets).unwrap();
        assert!(!secrets.have_changed() && secrets.kept().is_empty());
    }

    #[test]
    fn what_never_was_a_key_is_taken_as_it_is() {
        let secrets = one(Err(SecretError::NotFound));
        assert_eq!(read(&secrets), Err(SecretError::NotFound));
        put(&secrets, Ok("-----BEGIN\nCERTIFICATE-----\n"));
        assert!(secrets.have_changed() && read(&secrets).is_ok());
        put(&secrets, Err(SecretError::Unreadable));
        assert_eq!(read(&secrets), Err(SecretError::Unreadable));
    }

    #[test]
    fn what_nothing_asks_for_any_more_is_forgotten() {
        let secrets = one(Ok("key"));
        read(&secrets).unwrap();
        assert_eq!(secrets.files(), [Path::new("/key")]);
        secrets.begin();
        secrets.settle();
        assert!(secrets.files().is_empty());
    }
}
