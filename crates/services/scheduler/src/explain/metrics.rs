//! What the scheduler measures of itself, as samples.

use std::collections::BTreeMap;

use flowforge_model::cluster::ClusterName;
use flowforge_model::time::Timestamp;
use flowforge_ports::explain::{Family, FamilyKind, Sample};
use flowforge_scheduler::{ClusterUse, Code, FairShare, Metrics, Size, Waits, Where};

/// Clusters that are named in labels, as many as projects may name; what others have is counted together.
const CLUSTERS: usize = 64;

/// How it goes.
pub(super) fn metrics(fair: &FairShare, now: Timestamp) -> Vec<Family> {
    let Metrics { pending, pending_in, running, admitted, undone, waits, drift, pools } =
        fair.metrics(now);
    let drift = u64::try_from(drift).unwrap_or(u64::MAX);
    let mut families = vec![
        family(
            ("pending_tasks", FamilyKind::Gauge),
            "Tasks that wait, by what holds them back and the level at which there is too little.",
            pending.iter().map(|((code, at), count)| {
                let level = at.map_or("none", Where::as_str);
                sample("", &[("reason", code.as_str()), ("level", level)], number(*count))
            }),
        ),
        one(("running_tasks", FamilyKind::Gauge), "Tasks that hold what they asked for.", running),
        one(("admissions_total", FamilyKind::Counter), "Tasks that were admitted.", admitted),
        one(
            ("admissions_undone_total", FamilyKind::Counter),
            "Admissions that came to nothing: the task was taken back, its workflow paused, or its cluster had gone.",
            undone,
        ),
        family(
            ("admission_wait_seconds", FamilyKind::Histogram),
            "How long tasks that were admitted had been ready, by their size.",
            Size::ALL.into_iter().zip(&waits).flat_map(|(size, waits)| histogram(size, waits)),
        ),
        one(
            ("drift", FamilyKind::Gauge),
            "Amounts that are counted otherwise than what is held adds up to: 0, always.",
            drift,
        ),
    ];
    families.extend(clusters(fair, pending_in));
    let pool = |name, help, value: fn(&flowforge_scheduler::Pools) -> f64| {
        let each = pools.iter().map(move |((at, dimension), pool)| {
            let labels = [("level", at.as_str()), ("dimension", dimension.as_str())];
            sample("", &labels, value(pool))
        });
        family((name, FamilyKind::Gauge), help, each)
    };
    families.extend([
        pool(
            "contended_pools",
            "Entities of a level of whose children at least two want more of what is contended there, and may have it.",
            |pool| number(pool.count),
        ),
        pool(
            "share_error_ratio",
            "The largest difference between what such a child uses and its weighted part, in the worst pool.",
            |pool| pool.error,
        ),
        pool(
            "jain_index",
            "Jain's index of what such children use over their weights, in the worst pool; 1 is fair.",
            |pool| pool.jain,
        ),
    ]);
    families
}

/// Slots of each cluster, and who waits for them.
fn clusters(fair: &FairShare, pending: BTreeMap<(ClusterName, Code), u64>) -> [Family; 3] {
    let all: Vec<ClusterUse> = fair.clusters().collect();
    let named = |name: &ClusterName| {
        let known = all.iter().take(CLUSTERS).any(|one| one.name == *name);
        if known { name.to_string() } else { "other".to_owned() }
    };
    let slots = |of: fn(&ClusterUse) -> u64| {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for one in &all {
            *sums.entry(named(&one.name)).or_default() += of(one);
        }
        sums.into_iter().map(|(name, sum)| sample("", &[("cluster", &name)], number(sum)))
    };
    let mut waiting: BTreeMap<(String, Code), u64> = BTreeMap::new();
    for ((name, code), count) in pending {
        *waiting.entry((named(&name), code)).or_default() += count;
    }
    [
        family(
            ("cluster_slots", FamilyKind::Gauge),
            "What the executors that live in a cluster run at a time; 0: none lives, or takes work.",
            slots(|one| one.most),
        ),
        family(
            ("cluster_slots_used", FamilyKind::Gauge),
            "What was admitted for a cluster, and has not ended.",
            slots(|one| one.used),
        ),
        family(
            ("cluster_pending_tasks", FamilyKind::Gauge),
            "Tasks with pods that wait, by the cluster that they are for and what holds them back.",
            waiting.iter().map(|((name, code), count)| {
                sample("", &[("cluster", name), ("reason", code.as_str())], number(*count))
            }),
        ),
    ]
}

fn family(
    (name, kind): (&str, FamilyKind),
    help: &str,
    samples: impl Iterator<Item = Sample>,
) -> Family {
    let name = format!("flowforge_scheduler_{name}");
    Family { name, help: help.to_owned(), kind, samples: samples.collect() }
}

fn one(of: (&str, FamilyKind), help: &str, value: u64) -> Family {
    family(of, help, std::iter::once(sample("", &[], number(value))))
}

fn sample(suffix: &str, labels: &[(&str, &str)], value: f64) -> Sample {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Sample { suffix: suffix.to_owned(), labels: labels.collect(), value }
}

/// Each bound counts what is at most as long.
fn histogram(size: Size, waits: &Waits) -> Vec<Sample> {
    let size = ("size", size.as_str());
    let bounds = Waits::BOUNDS.iter().map(|bound| seconds(bound.0).to_string());
    let bounds = bounds.chain(std::iter::once("+Inf".to_owned()));
    let mut sum = 0_u64;
    let mut samples = Vec::new();
    for (bound, count) in bounds.zip(waits.counts) {
        sum = sum.saturating_add(count);
        samples.push(sample("_bucket", &[size, ("le", &bound)], number(sum)));
    }
    samples.push(sample("_sum", &[size], seconds(waits.total)));
    samples.push(sample("_count", &[size], number(sum)));
    samples
}

fn seconds(milliseconds: u64) -> f64 {
    number(milliseconds) / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "collectors keep 53 bits, too")]
fn number(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowforge_model::attempt::AttemptKey;
    use flowforge_model::id::{EntityId, NodeIx};
    use flowforge_model::quota::{Amounts, Dimension};
    use flowforge_scheduler::{Candidate, Settings};

    #[test]
    fn buckets_add_up_and_what_waits_has_a_reason_and_a_level() {
        let mut fair = FairShare::new(2, Settings::default());
        let workflow = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        fair.offer(Candidate {
            key: AttemptKey { workflow, node: NodeIx(0), number: 1 },
            priority: 0,
            since: Timestamp(0),
            parallelism: None,
            project: EntityId::DEFAULT_PROJECT,
            need: Amounts::ZERO.with(Dimension::Pods, 1),
            root: workflow,
            storage: 0,
            called: false,
            lasts: None,
            retry: false,
            template: None,
        });
        let families = metrics(&fair, Timestamp(1000));
        let find = |name: &str| {
            let name = format!("flowforge_scheduler_{name}");
            families.iter().find(|family| family.name == name).unwrap()
        };
        let labels = [("reason", "NO_SUCH_QUEUE"), ("level", "unknown")];
        assert_eq!(find("pending_tasks").samples, [sample("", &labels, 1.0)]);
        assert_eq!(find("drift").samples, [sample("", &[], 0.0)]);
        let here = ("cluster", "default");
        let waits = sample("", &[here, ("reason", "NO_SUCH_QUEUE")], 1.0);
        assert_eq!(find("cluster_pending_tasks").samples, [waits]);
        assert_eq!(find("cluster_slots").samples, [sample("", &[here], 2.0)]);
        assert_eq!(find("cluster_slots_used").samples, [sample("", &[here], 0.0)]);
        for index in 0..70 {
            let name = ClusterName::parse(&format!("c{index}")).unwrap();
            fair.resize_each(&BTreeMap::from([(name, 3)]));
        }
        let [slots, ..] = clusters(&fair, BTreeMap::new());
        assert_eq!(slots.samples.len(), CLUSTERS + 1, "labels are bounded");
        let last = slots.samples.iter().find(|one| one.labels[0].1 == "other").unwrap();
        assert_eq!(last.value, 3.0, "the last one alone lives");

        let mut waits = Waits { total: 1500, ..Waits::default() };
        waits.counts[0] = 1;
        waits.counts[8] = 2;
        let shown: Vec<_> = histogram(Size::Large, &waits)
            .into_iter()
            .map(|one| (one.suffix, one.labels.last().unwrap().1.clone(), one.value))
            .collect();
        let line = |suffix: &str, last: &str, value| (suffix.to_owned(), last.to_owned(), value);
        assert_eq!(shown[0], line("_bucket", "0.01", 1.0));
        assert_eq!(shown[7], line("_bucket", "3600", 1.0));
        assert_eq!(shown[8], line("_bucket", "+Inf", 3.0));
        assert_eq!(shown[9..], [line("_sum", "large", 1.5), line("_count", "large", 3.0)]);
    }
}
