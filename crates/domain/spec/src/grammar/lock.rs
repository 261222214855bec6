//! Locks and memos.

use super::{CONFIG_KEY, Kind, full, kind};

pub(crate) static SYNCHRONIZATION: Kind = kind(
    "synchronization",
    &[
        full("mutex").map(&MUTEX),
        full("mutexes").list(&MUTEX),
        full("semaphore").map(&SEMAPHORE),
        full("semaphores").list(&SEMAPHORE),
    ],
);

pub(crate) static MUTEX: Kind =
    kind("a mutex", &[full("name"), full("namespace"), full("database")]);

pub(crate) static SEMAPHORE: Kind = kind(
    "a semaphore",
    &[
        full("configMapKeyRef").map(&CONFIG_KEY),
        full("namespace"),
        full("database").map(&SEMAPHORE_KEY),
    ],
);

pub(crate) static SEMAPHORE_KEY: Kind = kind("database of a semaphore", &[full("key")]);

pub(crate) static MEMOIZE: Kind =
    kind("memoize", &[full("key"), full("maxAge"), full("cache").map(&CACHE)]);

pub(crate) static CACHE: Kind = kind("a cache", &[full("configMap").map(&CONFIG_KEY)]);
