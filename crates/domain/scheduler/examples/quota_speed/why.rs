//! What an explanation costs at saturation.

use std::collections::BTreeMap;
use std::time::Instant;

use flowforge_scheduler::{Code, Usage};

use crate::churn::Churn;
use crate::meter::{nanos, quantile, real, row};

/// Explains `count` attempts that wait, from all over the installation.
pub(crate) fn run(case: &str, tenants: u64, pending: usize, count: usize) {
    let mut churn = Churn::new(tenants, pending);
    let now = churn.clock();
    let workflows = churn.workflows();
    let (mut times, mut codes) = (Vec::new(), BTreeMap::new());
    while times.len() < count {
        let at = churn.all.dice().below(workflows.len());
        let waiting = workflows.get(at).map(|of| churn.all.fair.waiting_of(*of));
        let Some(key) = waiting.and_then(|of| of.first().copied()) else { continue };
        let from = Instant::now();
        let why = churn.all.fair.why(key, now);
        times.push(nanos(from));
        let code = why.map_or(Code::NoSuchQueue, |why| why.code);
        *codes.entry(code).or_insert(0_usize) += 1;
    }
    times.sort_unstable();
    for (part, name) in [(500, "why p50"), (950, "why p95"), (990, "why p99")] {
        row(case, name, "us", quantile(&times, part));
    }
    for (code, count) in codes {
        row(case, code.as_str(), "1", real(count));
    }
    let from = Instant::now();
    let waiting: u64 = churn.all.fair.usage().map(|Usage { waiting, .. }| waiting).sum();
    row(case, "usage of all", "ms", f64::from(nanos(from)) / 1e6);
    assert!(waiting >= u64::try_from(pending).unwrap_or(0), "they are counted");
}
