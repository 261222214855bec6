//! What an explanation costs at saturation.

use std::collections::BTreeMap;
use std::time::Instant;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::NodeIx;
use flowforge_model::quota::Dimension;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_scheduler::{Batch, Change, Code, Usage, WhatIf};

use crate::churn::Churn;
use crate::installation::workflow_id;
use crate::meter::{nanos, processor, quantile, real, row};

/// Explains `count` attempts that wait, from all over the installation.
pub(crate) fn run(case: &str, tenants: u64, pending: usize, count: usize) {
    let mut churn = Churn::new(tenants, pending);
    let now = churn.clock();
    let workflows = churn.workflows();
    let (mut times, mut codes) = (Vec::new(), BTreeMap::new());
    let used = processor();
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
    // Others that run on the same cores are in the quantiles; here they are not.
    let used = processor().saturating_sub(used).as_secs_f64() * 1e6;
    row(case, "why mean, processor", "us", used / real(count));
    times.sort_unstable();
    for (part, name) in [(500, "why p50"), (900, "why p90"), (950, "why p95"), (990, "why p99")] {
        row(case, name, "us", quantile(&times, part));
    }
    for (code, count) in codes {
        row(case, code.as_str(), "1", real(count));
    }
    let mut durations = BTreeMap::new();
    for key in churn.running().to_vec() {
        durations.insert(key, Millis(churn.all.dice().amount(60_000)));
    }
    let what_if = WhatIf {
        changes: Vec::new(),
        arrivals: Vec::new(),
        durations,
        otherwise: Millis(60_000),
        until: now.plus(Millis(86_400_000)),
        most: 10_000,
    };
    let from = Instant::now();
    let fork = churn.all.fair.fork();
    row(case, "fork", "ms", f64::from(nanos(from)) / 1e6);
    drop(fork);
    let from = Instant::now();
    let starts = churn.all.fair.simulate(now, &what_if).map_or(0, |starts| starts.len());
    row(case, "what if, 10,000 starts", "ms", f64::from(nanos(from)) / 1e6);
    assert!(starts == what_if.most, "there is enough to start");
    preview(case, &mut churn, now);
    let from = Instant::now();
    let waiting: u64 = churn.all.fair.usage().map(|Usage { waiting, .. }| waiting).sum();
    row(case, "usage of all", "ms", f64::from(nanos(from)) / 1e6);
    assert!(waiting >= u64::try_from(pending).unwrap_or(0), "they are counted");
}

/// A hundred groups of a hundred tasks all over an installation that has room for all of them.
fn preview(case: &str, churn: &mut Churn, now: Timestamp) {
    let mut batches = Vec::new();
    for group in 0..100_u32 {
        let mut first = churn.all.arrival(now);
        // Behind all that were submitted.
        first.root = workflow_id(1 << 40 | u64::from(group));
        first.key = AttemptKey { workflow: first.root, node: NodeIx(0), number: 1 };
        batches.push(Batch { first, count: 100 });
    }
    let changes = [Change::Capacity([None; Dimension::COUNT])];
    let (from, used) = (Instant::now(), processor());
    let said = churn.all.fair.preview(now, &changes, &batches, 10_000);
    let used = processor().saturating_sub(used).as_secs_f64() * 1e3;
    row(case, "simulate, 10,000 starts", "ms", f64::from(nanos(from)) / 1e6);
    row(case, "simulate, 10,000 starts, processor", "ms", used);
    assert!(said.is_ok_and(|said| said.starts.len() == 10_000), "there is enough to start");
}
