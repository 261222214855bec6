//! Pods without a cluster: the real `ff-run pod` and the real API, over stores in memory and tokens signed
//! with keys of our own.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails; clippy exempts test functions but not what they call"
)]

mod artifacts;
mod away;
mod cutting;
mod ending;
mod gangs;
mod refusing;
mod rig;
mod running;
mod several;
mod tokens;
mod transfers;
