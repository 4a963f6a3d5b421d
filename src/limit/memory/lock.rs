//! The locks of the shards: the standard library's, unless a test brings others that decide who goes first.

use std::ops::DerefMut;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A kind of locks.
pub trait Locks {
    type Lock<T: Send>: Lock<T> + Send + Sync;
}

/// One lock. A value is whole after every step of an operation, so one that a panic left behind can be used on.
pub trait Lock<T> {
    type Guard<'a>: DerefMut<Target = T>
    where
        Self: 'a;

    fn new(value: T) -> Self;

    fn hold(&self) -> Self::Guard<'_>;
}

/// The standard library's.
#[derive(Debug)]
pub struct Std;

impl Locks for Std {
    type Lock<T: Send> = Mutex<T>;
}

impl<T> Lock<T> for Mutex<T> {
    type Guard<'a>
        = MutexGuard<'a, T>
    where
        T: 'a;

    fn new(value: T) -> Self {
        Mutex::new(value)
    }

    fn hold(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
