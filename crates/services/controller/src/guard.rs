//! A wall around the pure core: a panic in it is a broken invariant of one workflow, not the end
//! of the server (INV-19).

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `f`; a panic becomes `None`.
///
/// Unwind safety: whoever gets `None` drops every value `f` could have changed.
pub(crate) fn guarded<T>(f: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(f)).ok()
}
