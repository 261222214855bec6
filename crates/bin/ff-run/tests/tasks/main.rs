//! Tasks that see paths of their own, run by the process runner through the real `ff-run`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails; clippy exempts test functions but not what they call"
)]

mod artifacts;
mod paths;
mod rig;
mod sets;
mod volumes;
