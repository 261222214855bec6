//! The REST API over a real database, without a controller: tests write what one would write.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails; clippy exempts test functions but not what they call"
)]

mod downloads;
mod explain;
mod fleet;
mod hostile;
mod locks;
mod memos;
mod organization;
mod reading;
mod resolving;
mod routes;
mod schedules;
mod server;
mod simulate;
mod streams;
mod submitting;
mod templates;
mod wire;
