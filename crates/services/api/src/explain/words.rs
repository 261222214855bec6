//! What the scheduler says, in sentences for people.

use flowforge_model::quota::Dimension;
use flowforge_organization::Organization;
use flowforge_ports::explain as ports;
use flowforge_wire::{Circuit, Cure, Place, QueueWhy, RetryBudget, Rival, Short};

use super::show::{place, unit};
use crate::organization::field;

/// Why it waits.
pub(super) fn sentence(code: &str, why: &QueueWhy) -> String {
    let mut text = reason(code, why);
    let pods = why.need.iter().find(|one| one.dimension == Dimension::Pods.as_str());
    let gang = pods.filter(|pods| pods.amount > 1 && code != "RUNNING");
    if let (Some(pods), Some(_)) = (gang, &why.short) {
        text.push_str(&format!(" It is a gang of {}: all start together, or none.", pods.amount));
    }
    text
}

fn reason(code: &str, why: &QueueWhy) -> String {
    match (code, &why.short, &why.rival) {
        ("EXCEEDS_QUOTA_FOREVER", Some(short), _) => format!(
            "It needs {} {}, and {} may never use more than {}.",
            short.dimension,
            amount(&short.unit, short.need),
            called(&short.at),
            amount(&short.unit, short.limit),
        ),
        ("NO_SUCH_QUEUE", ..) => {
            "Its project, or something above it, is not known to the scheduler.".to_owned()
        }
        ("RETRY_BUDGET", ..) => why.retry_budget.as_ref().map_or_else(
            || "It is a retry, and its tenant may make no more retries yet.".to_owned(),
            rationed,
        ),
        ("CIRCUIT_OPEN", ..) => why.circuit.as_ref().map_or_else(
            || "It is a retry, and attempts of its template break again and again.".to_owned(),
            tripped,
        ),
        ("WORKFLOW_LIMIT", None, _) => {
            "Its workflow runs as many tasks at a time as it may.".to_owned()
        }
        ("CLUSTER_DOWN", ..) => {
            let Some(name) = &why.cluster else {
                return "No executor takes work: none lives, or their cluster does not answer.".to_owned();
            };
            format!(
                "No executor of cluster {name} takes work: none lives, or the cluster does not answer. Start one with \
                 `role.cluster: {name}`, or give the project another cluster."
            )
        }
        ("CAPACITY_FULL", Some(short), _)
            if short.dimension == Dimension::Pods.as_str() && why.cluster.is_some() =>
        {
            slots(why.cluster.as_deref().unwrap_or_default(), short)
        }
        ("RUNNING", short, _) => admitted(why, short.as_ref()),
        (_, Some(short), _) => full(short),
        ("BEHIND_FAIR_SHARE", _, Some(rival)) => behind(rival),
        ("BEHIND_FAIR_SHARE", ..) => {
            "There is room, and others that have less of what is scarce go first.".to_owned()
        }
        ("BEHIND_PRIORITY", ..) => {
            "There is room, and a task of its project goes first: a higher priority, or an earlier one."
                .to_owned()
        }
        ("BEHIND_CLAIM", ..) => {
            "There is room, and it is kept for a larger task that has waited for long.".to_owned()
        }
        ("PAUSED", ..) => "Its workflow is paused: `resume` lets it go on.".to_owned(),
        ("NEXT", ..) => "Nothing holds it back: it is the next to start.".to_owned(),
        _ => "It waits for the scheduler.".to_owned(),
    }
}

/// It is in the queue as far as rows say, and not as far as the scheduler knows.
fn admitted(why: &QueueWhy, down: Option<&Short>) -> String {
    let pods = why.need.iter().any(|one| one.dimension == Dimension::Pods.as_str());
    match why.cluster.as_deref().filter(|_| pods) {
        None => "It was admitted, and is about to start.".to_owned(),
        Some(name) if down.is_none() => {
            format!("It was admitted for cluster {name}, and is about to start there.")
        }
        Some(name) => format!(
            "It was admitted for cluster {name}, and no executor there takes work any more. If none has claimed it, \
             it soon waits again for the cluster of its project; else it waits for an executor of cluster {name}."
        ),
    }
}

fn slots(cluster: &str, short: &Short) -> String {
    let Short { used, limit, need, .. } = short;
    format!(
        "Cluster {cluster} has no room for it: of what its executors run at a time {used} of {limit} are used, \
         and it needs {need}."
    )
}

fn full(short: &Short) -> String {
    let of = |number| amount(&short.unit, number);
    format!(
        "{} has no room for it: of {} {} of {} are used, and it needs {}.",
        capital(&called(&short.at)),
        short.dimension,
        of(short.used),
        of(short.limit),
        of(short.need),
    )
}

fn rationed(of: &RetryBudget) -> String {
    format!(
        "It is a retry, and {} may make no more retries yet: {} before it. {} may start each second, and {} % of \
         one more with each first attempt that succeeds.",
        called(&of.tenant),
        count(of.ahead, "other"),
        of.per_second,
        of.percent,
    )
}

fn tripped(of: &Circuit) -> String {
    let next = match of.at {
        Some(_) => "one of them tries after a pause",
        None => "one of them tries",
    };
    format!(
        "It is a retry, and the last {} attempts of template {} in its project broke: its retries wait, and {next}. \
         {} before it.",
        of.failures,
        of.template,
        count(of.ahead, "other"),
    )
}

fn behind(rival: &Rival) -> String {
    let side = |side: &flowforge_wire::Side| match &side.entity {
        Some(place) => called(place),
        None => "its project".to_owned(),
    };
    format!(
        "There is room, and {} goes first: it has a share of {:.2}, {} one of {:.2}.",
        side(&rival.theirs),
        rival.theirs.share,
        side(&rival.ours),
        rival.ours.share,
    )
}

/// What would let it start.
pub(super) fn cure(all: &Organization, cure: &ports::Cure) -> Cure {
    let (kind, text) = match cure {
        ports::Cure::Raise(limits) => {
            let each: Vec<String> = limits.iter().map(|one| raise(all, one)).collect();
            ("RAISE_LIMIT", format!("raise {}", each.join(", and ")))
        }
        ports::Cure::End { project, attempts, workflows } => {
            let mut parts = Vec::new();
            parts.extend((*attempts > 0).then(|| count(*attempts, "task")));
            parts.extend((*workflows > 0).then(|| count(*workflows, "workflow")));
            let of = called(&place(all, Some(*project)));
            ("WAIT_FOR_OTHERS", format!("{} of {of} to end", parts.join(" and ")))
        }
        ports::Cure::EndOwn(attempts) => {
            let own = count(u64::from(*attempts), "task");
            ("WAIT_FOR_OWN", format!("{own} of its own workflow to end, or a higher parallelism"))
        }
        ports::Cure::Resume => ("RESUME", "resume its workflow".to_owned()),
        ports::Cure::Tell(entity) => (
            "CREATE_ENTITY",
            format!("make {} known to the scheduler", called(&place(all, Some(*entity)))),
        ),
        ports::Cure::Prioritize(base) => {
            ("RAISE_PRIORITY", format!("give its workflow a priority of {base}"))
        }
    };
    Cure { kind: kind.to_owned(), text }
}

fn raise(all: &Organization, raise: &ports::Raise) -> String {
    let by = amount(unit(raise.dimension), raise.by);
    match (raise.entity, raise.dimension) {
        (None, Dimension::Pods) => format!("what executors run at a time by {by}"),
        (entity, of) => format!("{} of {} by {by}", field(of), called(&place(all, entity))),
    }
}

/// How people call an entity.
fn called(place: &Place) -> String {
    match &*place.level {
        "installation" => "the installation".to_owned(),
        level => format!("{level} {}", place.path),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn count(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// An amount in a unit that people use: `1.5 cores`, `2 GiB`, `3`.
fn amount(unit: &str, number: u64) -> String {
    match unit {
        "millicores" => {
            let cores = format!("{}.{:03}", number / 1000, number % 1000);
            format!("{} cores", cores.trim_end_matches('0').trim_end_matches('.'))
        }
        "bytes" => bytes(number),
        _ => number.to_string(),
    }
}

/// In the largest unit of which there is at least one, rounded down to a tenth.
fn bytes(number: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    for (unit, shift) in units {
        let whole = number >> shift;
        if whole > 0 {
            let tenth = ((u128::from(number) * 10) >> shift) % 10;
            let part = if tenth > 0 { format!(".{tenth}") } else { String::new() };
            return format!("{whole}{part} {unit}");
        }
    }
    format!("{number} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(limit: u64) -> Short {
        Short {
            at: Place { id: None, level: "installation".to_owned(), path: String::new() },
            dimension: "pods".to_owned(),
            unit: "count".to_owned(),
            need: 8,
            used: 3,
            limit,
        }
    }

    /// What is said of an attempt that needs so many pods.
    fn said(code: &str, pods: u64, (cluster, short): (Option<&str>, Option<Short>)) -> String {
        let of = |dimension: &str, amount| flowforge_wire::Amount {
            dimension: dimension.to_owned(),
            unit: "count".to_owned(),
            amount,
        };
        let why = QueueWhy {
            cluster: cluster.map(str::to_owned),
            short,
            holders: Vec::new(),
            need: vec![of("gpu", 2), of("pods", pods)]
                .into_iter()
                .filter(|of| of.amount > 0)
                .collect(),
            ranks: Vec::new(),
            rival: None,
            priority: flowforge_wire::Priority {
                total: 0.0,
                base: 0.0,
                weight: 0.0,
                waiting: 0.0,
                penalty: 0.0,
            },
            cures: Vec::new(),
            retry_budget: None,
            circuit: None,
        };
        sentence(code, &why)
    }

    #[test]
    fn a_gang_is_named_where_there_is_too_little_for_it() {
        let said = |pods, short| said("CAPACITY_FULL", pods, (None, short));
        let full = "The installation has no room for it: of pods 3 of 10 are used, and it needs 8.";
        let gang = " It is a gang of 8: all start together, or none.";
        assert_eq!(said(8, Some(short(10))), format!("{full}{gang}"));
        assert_eq!(said(1, Some(short(10))), full);
        assert_eq!(said(8, None), "It waits for the scheduler.");
    }

    #[test]
    fn what_was_admitted_names_its_cluster_and_that_nobody_is_there() {
        let said = |pods, cluster, short| said("RUNNING", pods, (cluster, short));
        assert_eq!(
            said(1, Some("east"), None),
            "It was admitted for cluster east, and is about to start there."
        );
        assert_eq!(
            said(8, Some("east"), Some(short(0))),
            "It was admitted for cluster east, and no executor there takes work any more. If none has claimed it, it \
             soon waits again for the cluster of its project; else it waits for an executor of cluster east."
        );
        let nowhere = "It was admitted, and is about to start.";
        assert_eq!(said(0, Some("east"), None), nowhere, "it starts a workflow");
        assert_eq!(said(1, None, None), nowhere, "a scheduler of before");
    }

    #[test]
    fn amounts_are_shown_in_units_that_people_use() {
        assert_eq!(amount("millicores", 1500), "1.5 cores");
        assert_eq!(amount("millicores", 10_000), "10 cores");
        assert_eq!(amount("millicores", 5), "0.005 cores");
        assert_eq!(amount("bytes", 3 << 29), "1.5 GiB");
        assert_eq!(amount("bytes", u64::MAX), "16777215.9 TiB");
        assert_eq!(amount("count", 1), "1");
        assert_eq!(bytes(0), "0 bytes");
    }
}
