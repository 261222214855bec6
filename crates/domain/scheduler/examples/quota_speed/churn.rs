//! At saturation: one ends, who is next starts, one arrives.

use std::collections::BTreeMap;
use std::time::Instant;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::WorkflowId;
use flowforge_model::time::Timestamp;

use crate::installation::{Installation, TASKS, workflow_id};
use crate::meter::{nanos, peak_mib, processor, quantile, real, row};

/// Nanoseconds that calls took.
#[derive(Default)]
struct Times {
    decisions: Vec<u32>,
    failed: Vec<u32>,
    releases: Vec<u32>,
    offers: Vec<u32>,
}

pub(crate) struct Churn {
    pub(crate) all: Installation,
    now: i64,
    running: Vec<AttemptKey>,
    left: BTreeMap<WorkflowId, u32>,
}

pub(crate) fn run(case: &str, tenants: u64, pending: usize, rounds: usize) {
    let mut churn = Churn::new(tenants, pending);
    row(case, "entities", "1", real(churn.all.fair.tree().places()));
    row(case, "waiting", "1", real(churn.all.fair.waiting()));
    row(case, "running", "1", real(churn.all.fair.held()));
    let mut times = Times::default();
    let (began, used) = (Instant::now(), processor());
    for _ in 0..rounds {
        churn.round(&mut times);
    }
    let (wall, used) = (began.elapsed(), processor().saturating_sub(used));
    let Times { decisions, failed, releases, offers } = times;
    let events = real(decisions.len() + releases.len() + offers.len());
    let within: u64 = decisions.iter().map(|took| u64::from(*took)).sum();
    let within = std::time::Duration::from_nanos(within).as_secs_f64();
    row(case, "decisions", "1/s", real(decisions.len()) / within);
    for (name, mut times) in
        [("decide", decisions), ("nothing fits", failed), ("release", releases), ("offer", offers)]
    {
        times.sort_unstable();
        for (part, suffix) in [(500, "p50"), (990, "p99"), (999, "p99.9")] {
            row(case, &format!("{name} {suffix}"), "us", quantile(&times, part));
        }
    }
    row(case, "calls", "1/s", events / wall.as_secs_f64());
    row(case, "calls", "1/CPU-s", events / used.as_secs_f64());
    row(case, "peak memory", "MiB", peak_mib());
}

impl Churn {
    /// `pending` tasks wait, and as many run as there is room for.
    pub(crate) fn new(tenants: u64, pending: usize) -> Self {
        let room = u64::try_from(pending / 3).unwrap_or(0).min(tenants * 60);
        let all = Installation::new(tenants, room);
        let (now, running, left) = (1_700_000_000_000, Vec::new(), BTreeMap::new());
        let mut churn = Self { all, now, running, left };
        churn.fill(pending);
        churn
    }

    pub(crate) fn running(&self) -> &[AttemptKey] {
        &self.running
    }

    /// All that were ever begun.
    pub(crate) fn workflows(&self) -> Vec<WorkflowId> {
        (1..=self.all.begun()).map(workflow_id).collect()
    }

    pub(crate) fn clock(&mut self) -> Timestamp {
        self.now += 3;
        Timestamp(self.now)
    }

    /// Lets `pending` tasks wait, and as many run as there is room for.
    fn fill(&mut self, pending: usize) {
        while self.all.fair.waiting() < pending {
            let now = self.clock();
            let candidate = self.all.arrival(now);
            self.all.fair.offer(candidate);
            if self.all.fair.waiting() == pending {
                self.running.extend(self.all.fair.admit(now, usize::MAX));
            }
        }
    }

    fn round(&mut self, times: &mut Times) {
        let at = self.all.dice().below(self.running.len());
        let ended = self.running.swap_remove(at);
        let from = Instant::now();
        self.all.fair.release(ended);
        let left = self.left.entry(ended.workflow).or_insert(TASKS);
        *left -= 1;
        if *left == 0 {
            self.left.remove(&ended.workflow);
            self.all.fair.end_workflow(ended.workflow);
        }
        times.releases.push(nanos(from));
        // As the scheduler does after each commit.
        self.all.fair.slot_changes();
        let now = self.clock();
        loop {
            let from = Instant::now();
            let admitted = self.all.fair.admit(now, 1);
            let took = nanos(from);
            if admitted.is_empty() {
                times.failed.push(took);
                return;
            }
            times.decisions.push(took);
            self.running.extend(admitted);
            let candidate = self.all.arrival(now);
            let from = Instant::now();
            self.all.fair.offer(candidate);
            times.offers.push(nanos(from));
        }
    }
}
