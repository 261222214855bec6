//! What a campaign found, as a table and as JSON.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};

use super::Campaign;
use super::canaries::Recovery;
use super::faults::Kind;
use super::history::History;
use super::load::Submitted;
use super::members::PODS;

pub(super) struct Report {
    pub(super) campaign: Campaign,
    pub(super) seconds: f64,
    /// From the last fault until nothing was left to do.
    pub(super) rest: Duration,
    pub(super) recoveries: BTreeMap<Kind, Vec<Recovery>>,
    pub(super) lost_commits: u64,
    /// Calls of servers that did what they should and failed then, by place.
    pub(super) lost_answers: BTreeMap<String, usize>,
    pub(super) harmed: BTreeMap<(Kind, &'static str), u32>,
    pub(super) history: History,
    pub(super) submitted: Submitted,
}

impl Report {
    /// Calls of servers whose answers were lost.
    pub(super) fn answers(&self) -> usize {
        self.lost_answers.values().sum()
    }

    pub(super) fn show(&self, faults: &[(Kind, Instant)]) -> anyhow::Result<()> {
        print!("{}", self.table(faults));
        let Some(path) = &self.campaign.json else { return Ok(()) };
        let text = format!("{:#}\n", self.json(faults));
        if path.as_os_str() == "-" {
            print!("{text}");
            return Ok(());
        }
        fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }

    fn table(&self, faults: &[(Kind, Instant)]) -> String {
        let head = "fault              count   next canary ms        all canaries ms\n\
                    \x20                         median      max      median      max\n";
        let mut text = head.to_owned();
        for (kind, count) in counts(faults) {
            let [first, all] = self.spans(kind);
            let name = kind.name();
            let (first, all) = (middle(&first), middle(&all));
            text.push_str(&format!(
                "{name:<18} {count:>5} {:>8} {:>8}    {:>8} {:>8}\n",
                first.0, first.1, all.0, all.1
            ));
        }
        text.push_str("servers harmed, by role:\n");
        for (kind, roles) in self.by_role() {
            let roles = roles.iter().map(|(role, count)| format!("{count} {role}"));
            let roles = roles.collect::<Vec<_>>().join(", ");
            text.push_str(&format!("{:<18} {roles}\n", kind.name()));
        }
        if !self.lost_answers.is_empty() {
            text.push_str(&format!("{} calls done and not answered:\n", self.answers()));
        }
        for (place, count) in &self.lost_answers {
            text.push_str(&format!("{place:<24} {count:>7}\n"));
        }
        let History { workflows, tasks, attempts, lost_attempts, .. } = self.history;
        let Submitted { acknowledged, repeated, replayed } = self.submitted;
        text.push_str(&format!(
            "{} faults in {:.0} s, at rest {:.1} s after the last; {} commits without an answer\n\
             submissions: {acknowledged} acknowledged, 0 lost, 0 doubled; {repeated} sent again, \
             {replayed} of them were known\n\
             {workflows} workflows succeeded, {tasks} tasks in {attempts} attempts, \
             {lost_attempts} of them lost\n\
             witness: {} processes for {} tasks, 0 attempts after a success, {} late processes of \
             lost attempts\n\
             quota: at most {} of {PODS} attempts at a time\n\
             at rest: 0 rows of work, 0 leases, 0 processes; doctor is green\n",
            faults.len(),
            self.seconds,
            self.rest.as_secs_f64(),
            self.lost_commits,
            self.history.witnessed_processes,
            self.history.witnessed_tasks,
            self.history.late_processes,
            self.history.most_at_once,
        ));
        text
    }

    fn json(&self, faults: &[(Kind, Instant)]) -> Value {
        let kinds: serde_json::Map<String, Value> = counts(faults)
            .into_iter()
            .map(|(kind, count)| {
                let [first, all] = self.spans(kind);
                let span = |(median, max)| json!({"median": median, "max": max});
                let row = json!({
                    "count": count,
                    "next_canary_ms": span(middle(&first)),
                    "all_canaries_ms": span(middle(&all)),
                });
                (kind.name(), row)
            })
            .collect();
        let history = &self.history;
        json!({
            "seed": self.campaign.seed,
            "lease_seconds": self.campaign.lease,
            "seconds": self.seconds,
            "faults": kinds,
            "servers_harmed": self.by_role().into_iter()
                .map(|(kind, roles)| (kind.name(), json!(roles)))
                .collect::<serde_json::Map<_, _>>(),
            "rest_seconds": self.rest.as_secs_f64(),
            "commits_without_answer": self.lost_commits,
            "calls_without_answer": self.lost_answers,
            "submissions": {
                "acknowledged": self.submitted.acknowledged,
                "lost": 0,
                "doubled": 0,
                "repeated": self.submitted.repeated,
                "replayed": self.submitted.replayed,
            },
            "workflows_succeeded": history.workflows,
            "tasks_succeeded": history.tasks,
            "attempts": history.attempts,
            "attempts_lost": history.lost_attempts,
            "attempts_after_success": 0,
            "attempts_at_once": history.most_at_once,
            "attempts_allowed": PODS,
            "witnessed_tasks": history.witnessed_tasks,
            "witnessed_processes": history.witnessed_processes,
            "late_processes_of_lost_attempts": history.late_processes,
            "left_at_rest": 0,
        })
    }

    fn by_role(&self) -> BTreeMap<Kind, BTreeMap<&'static str, u32>> {
        let mut all: BTreeMap<Kind, BTreeMap<&'static str, u32>> = BTreeMap::new();
        for ((kind, role), count) in &self.harmed {
            all.entry(*kind).or_default().insert(role, *count);
        }
        all
    }

    /// How long each recovery of this kind took, in ascending order.
    fn spans(&self, kind: Kind) -> [Vec<u128>; 2] {
        let found = self.recoveries.get(&kind).map_or(&[][..], Vec::as_slice);
        let sorted = |span: fn(&Recovery) -> Duration| {
            let mut all: Vec<u128> = found.iter().map(|one| span(one).as_millis()).collect();
            all.sort_unstable();
            all
        };
        [sorted(|recovery| recovery.first), sorted(|recovery| recovery.all)]
    }
}

fn counts(faults: &[(Kind, Instant)]) -> BTreeMap<Kind, usize> {
    let mut counts = BTreeMap::new();
    for (kind, _) in faults {
        *counts.entry(*kind).or_default() += 1;
    }
    counts
}

/// The median and the largest.
fn middle(sorted: &[u128]) -> (u64, u64) {
    let at = |place: usize| sorted.get(place).and_then(|span| u64::try_from(*span).ok());
    let last = sorted.len().saturating_sub(1);
    (at(sorted.len() / 2).unwrap_or(0), at(last).unwrap_or(0))
}
