//! What an explanation names is so, and what it says would help does: no less, and nothing more.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::machine::{START, calls, fresh, play};
use super::*;
use crate::fair::clusters::ClusterIx;
use crate::fair::entry::Entry;
use crate::fair::shape::mask;
use crate::fair::task::TaskIx;
use crate::{Code, Cure, Member, Raise, Why};

/// The candidate that a task was offered as.
fn offered(fair: &FairShare, key: AttemptKey) -> Candidate {
    let (_, task) = fair.task(key).unwrap();
    let (lane, root) = (fair.lanes.get(task.lane).unwrap(), fair.lanes.root(task.lane).unwrap());
    Candidate {
        key,
        priority: task.priority,
        since: task.since,
        parallelism: lane.parallelism,
        project: fair.tree.entity(task.place).unwrap(),
        need: fair.shapes.need(task.shape),
        root: root.id,
        storage: root.own.storage,
        called: root.own.called,
        lasts: task.lasts(),
        // Its token is taken.
        retry: false,
        template: task.template(),
    }
}

fn raise(fair: &mut FairShare, of: ClusterIx, raise: &Raise, by: u64) {
    let at = raise.dimension as usize;
    let Some(id) = raise.entity else {
        if raise.dimension == Dimension::Pods {
            return fair.raise_slots(of, by);
        }
        let mut capacity = fair.capacity;
        capacity[at] = capacity[at].map(|most| most + by);
        return fair.capacity(capacity);
    };
    let place = fair.tree.place(id).unwrap();
    let mut quota = Quota { weight: fair.tree.weight(place), ..Quota::default() };
    for (dimension, limit) in quota.limits.iter_mut().enumerate() {
        let most = fair.tree.limit(place).0[dimension];
        *limit = (most < flowforge_quota::UNLIMITED).then_some(most);
    }
    quota.limits[at] = quota.limits[at].map(|most| most + by);
    let parent = fair.tree.parent(place).and_then(|above| fair.tree.entity(above));
    let level = fair.tree.level(place).unwrap();
    let home = fair.clusters.of(Some(id));
    let cluster = (home != ClusterIx::HOME).then(|| fair.clusters.named(home));
    fair.upsert(&Entity { id, level, parent, name: String::new(), quota: Some(quota), cluster })
        .unwrap();
}

/// Nobody else waits.
fn alone(fair: &FairShare, key: AttemptKey) -> FairShare {
    let mut alone = fair.clone();
    let waiting = fair.tasks.iter().filter(|(_, task)| matches!(task.state, State::Waiting(..)));
    for (_, other) in waiting.filter(|(_, task)| task.key != key) {
        alone.withdraw(other.key);
    }
    let retries = fair.rations.iter().map(|(_, retry)| retry);
    for retry in fair.breaker.iter().chain(retries) {
        alone.withdraw(retry.key);
    }
    alone
}

/// What runs in a project, those first that give back most of what is short to this one.
fn largest(fair: &FairShare, key: AttemptKey, why: &Why, at: Place) -> Vec<TaskIx> {
    let task = fair.task(key).unwrap().1;
    let cluster = fair.shapes.cluster(task.shape);
    let dimension = why.short.unwrap().dimension;
    let top = fair.lacks(Place::ROOT, &why.need, cluster).is_some();
    let from = if top { Place::ROOT } else { task.place };
    let uses = |of: &TaskIx| {
        let shape = fair.shapes.get(fair.tasks.get(*of).unwrap().shape).unwrap();
        fair.freed(from, shape, cluster).get(dimension)
    };
    let mut held = fair.branches.get(at).unwrap().held.clone();
    held.sort_by_key(|task| std::cmp::Reverse(uses(task)));
    held.into_vec()
}

/// QINV-17 for one cure.
fn helps(fair: &FairShare, key: AttemptKey, why: &Why, cure: &Cure) {
    let mut after = alone(fair, key);
    let place = fair.task(key).unwrap().1.place;
    let cluster = fair.shapes.cluster(fair.task(key).unwrap().1.shape);
    let closed = fair.lanes.get(fair.task(key).unwrap().1.lane).unwrap().closed();
    match cure {
        Cure::Raise(raises) => {
            for less in raises {
                let mut short = after.clone();
                for one in raises {
                    raise(&mut short, cluster, one, one.by - u64::from(one == less));
                }
                assert_eq!(short.admit(short.now, 9), [], "{less:?} by less is enough");
            }
            for one in raises {
                raise(&mut after, cluster, one, one.by);
            }
            assert_eq!(after.lacking(place, &why.need, cluster), None);
        }
        Cure::End { project, attempts, workflows } => {
            let at = fair.tree.place(*project).unwrap();
            let held = largest(fair, key, why, at);
            for task in held.iter().take(*attempts) {
                after.release(fair.tasks.key(*task).unwrap());
            }
            let slots = fair.lanes.iter().filter(|lane| lane.slot.is_some_and(|slot| slot.0 == at));
            for lane in slots.take(usize::try_from(*workflows).unwrap()) {
                after.end_workflow(lane.id);
            }
            assert_eq!(after.lacking(place, &why.need, cluster), None);
        }
        Cure::EndOwn(attempts) => {
            let own = fair.tasks.iter().filter(|(_, task)| {
                task.key.workflow == key.workflow && matches!(task.state, State::Held { .. })
            });
            let own: Vec<AttemptKey> = own.map(|(_, task)| task.key).collect();
            for (count, ended) in (1..).zip(own.iter().take(*attempts as usize)) {
                after.release(*ended);
                let full = after.why(key, after.now).unwrap().code == Code::WorkflowLimit;
                assert!(count == *attempts || full, "{count} are enough");
            }
            let lane = after.lanes.find(key.workflow).unwrap();
            assert!(!after.lanes.get(lane).unwrap().full());
            return;
        }
        Cure::Resume => {
            after.gate(key.workflow, true);
            return assert_ne!(after.why(key, after.now).unwrap().code, Code::Paused);
        }
        Cure::Tell(unknown) => {
            assert!(!fair.tree.known(fair.tree.place(*unknown).unwrap()));
            return;
        }
        Cure::Prioritize(base) => {
            let was = offered(fair, key);
            for (priority, first) in [(*base, true), (*base - 1, false)] {
                let mut after = fair.clone();
                after.withdraw(key);
                after.offer(Candidate { priority, ..was });
                let next = after.pick().and_then(|at| after.tasks.key(at));
                assert_eq!(next == Some(key), first, "at {priority}: {next:?}");
            }
            return;
        }
    }
    if !closed {
        assert_eq!(after.admit(after.now, 9), [key], "{cure:?} does not help {why:?}");
    }
}

/// Places on all levels, from everything.
fn ranks(fair: &FairShare, key: AttemptKey, why: &Why) -> Vec<usize> {
    let (at, task) = fair.task(key).unwrap();
    let mut ranks = Vec::new();
    let mut below = None;
    for place in fair.tree.path(task.place) {
        let tenant = fair.tenant(place);
        let among = |entry: Entry, mask: u8, phase: points::Phase| {
            let penalty = tenant.map_or(0, |tenant| fair.penalties(tenant).of(mask));
            entry.among(phase.common(fair.now), penalty, fair.settings.precedence)
        };
        let head = fair.as_head(at).unwrap();
        let ours = match below {
            Some(child) => view::View::new(fair, child).entry(fair, &head, mask(&why.need)),
            None => Entry::of_queue(QueueIx(0), &head),
        };
        let ours = among(ours, mask(&why.need), head.phase);
        let mut ahead = BTreeSet::new();
        for bucket in &fair.branches.get(place).unwrap().buckets {
            let mask = fair.shapes.class(bucket.kind.class()).unwrap().mask;
            for entry in bucket.heap.entries() {
                let theirs = among(entry, mask, bucket.kind.phase());
                let own = below.map(entry::Child::Node) == Some(entry.child());
                if below.is_some() && !own && theirs.order(&ours, &fair.tasks).is_lt() {
                    ahead.insert(entry.child());
                }
            }
        }
        let mut count = ahead.len();
        if below.is_none() {
            let others = fair.tasks.iter().filter(|(other, of)| {
                let State::Waiting(queue, _) = of.state else { return false };
                let queue = fair.queues.get(queue).unwrap();
                let mine = matches!(task.state, State::Waiting(own, _)
                    if fair.queues.get(own).is_some_and(|own| std::ptr::eq(own, queue)));
                if of.place != place || (queue.seat.is_none() && !mine) {
                    return false;
                }
                let head = fair.as_head(*other).unwrap();
                let mask = match queue.seat {
                    Some(seat) if !mine => fair.shapes.get(seat.shape).unwrap().mask,
                    _ => mask(&why.need),
                };
                let theirs = among(Entry::of_queue(QueueIx(0), &head), mask, head.phase);
                theirs.order(&ours, &fair.tasks).is_lt()
            });
            count = others.count();
        }
        ranks.push(count);
        below = Some(place);
    }
    ranks.reverse();
    ranks
}

fn explained(fair: &FairShare) {
    for (at, task) in fair.tasks.iter() {
        let why = fair.why(task.key, fair.now).unwrap();
        assert_eq!(why.code == Code::Running, matches!(task.state, State::Held { .. }));
        assert_eq!(why.code == Code::Next, fair.pick() == Some(at), "{why:?}");
        if why.code == Code::Running {
            let down =
                |short: &crate::Blocked| short.dimension == Dimension::Pods && short.limit == 0;
            assert!(why.short.as_ref().is_none_or(down), "{why:?}");
            assert!(why.cures.is_empty() && why.holders.is_empty(), "{why:?}");
            continue;
        }
        for cure in &why.cures {
            helps(fair, task.key, &why, cure);
        }
        let ours: Vec<usize> = why.ranks.iter().map(|rank| rank.ahead).collect();
        assert_eq!(ours, ranks(fair, task.key, &why), "{:?}", why.ranks);
        if matches!(why.code, Code::BehindFairShare | Code::BehindPriority) {
            assert!(why.rival.is_some(), "{why:?}");
        }
        let Some(short) = why.short else { continue };
        assert!(!why.cures.is_empty());
        let place = short.entity.map_or(Some(Place::ROOT), |id| fair.tree.place(id)).unwrap();
        assert!(short.used + short.need > short.limit);
        let most = fair.tree.children(place).iter();
        let most = most.map(|of| fair.tree.usage(*of).get(short.dimension)).max().unwrap_or(0);
        let entities = why.holders.iter().filter(|of| matches!(of.who, Member::Entity(_)));
        assert!(
            entities.map(|of| of.used).max().unwrap_or(0) == most || most == 0 || short.unknown
        );
    }
}

#[test]
fn an_explanation_names_who_and_how_much() {
    let mut fair = FairShare::new(10, Settings::default());
    for (at, weight) in [(1, 100), (2, 50)] {
        fair.upsert(&entity(at, None, weight)).unwrap();
        fair.upsert(&limit(entity(at + 10, Some(at), 100), Dimension::Pods, 6)).unwrap();
    }
    fair.offer(Candidate { need: pods(4), ..candidate(1, 0, 11) });
    fair.offer(candidate(1, 1, 11));
    fair.offer(candidate(3, 0, 12));
    let now = Timestamp(1_000_000 + 1_800_000);
    assert_eq!(fair.admit(now, 9).len(), 3);
    fair.offer(Candidate { need: pods(3), ..candidate(2, 0, 11) });
    let why = fair.why(key(2, 0), now).unwrap();
    let need = pods(3).with(Dimension::Workflows, 1);
    assert_eq!((why.code, why.rival, why.need), (Code::QuotaFull, None, need));
    let short = why.short.unwrap();
    assert_eq!((short.entity, short.dimension), (Some(entity_id(11)), Dimension::Pods));
    assert_eq!((short.used, short.need, short.limit), (5, 3, 6));
    let holder = crate::Holding { who: Member::Workflow(workflow(1)), used: 5 };
    assert_eq!(why.holders, [holder]);
    let by = Raise { entity: Some(entity_id(11)), dimension: Dimension::Pods, by: 2 };
    let end = Cure::End { project: entity_id(11), attempts: 1, workflows: 0 };
    assert_eq!(why.cures, [Cure::Raise(vec![by]), end]);
    // Half an hour of waiting, a weight of 100, and no penalty: the tenant has no limits.
    let points = crate::Points { base: 50.0, weight: 20.0, waiting: 5.0, penalty: 0.0 };
    assert_eq!((why.priority, why.priority.total()), (points, 75.0));
    // With room for it the other tenant goes first: it uses 1 of 10 at half the weight.
    fair.offer(candidate(3, 1, 12));
    fair.withdraw(key(2, 0));
    fair.offer(candidate(2, 1, 11));
    let why = fair.why(key(2, 1), now).unwrap();
    let rival = why.rival.unwrap();
    assert_eq!((why.code, rival.key, rival.common), (Code::BehindFairShare, key(3, 1), None));
    assert_eq!((rival.ours.entity, rival.theirs.entity), (Some(entity_id(1)), Some(entity_id(2))));
    assert!((rival.ours.share - 0.5).abs() < 1e-9 && (rival.theirs.share - 0.2).abs() < 1e-9);
    let ahead: Vec<usize> = why.ranks.iter().map(|rank| rank.ahead).collect();
    assert_eq!(ahead, [1, 0, 0]);
    assert_eq!(fair.waiting_of(workflow(3)), [key(3, 1)]);
    assert_eq!(fair.why(key(9, 9), now), None);
    let usage: Vec<_> = fair.usage().filter(|of| of.entity == Some(entity_id(1))).collect();
    assert_eq!(
        (usage[0].used, usage[0].running, usage[0].waiting),
        (pods(5).with(Dimension::Workflows, 1), 2, 1)
    );
}

proptest! {
    /// QINV-17.
    #[test]
    fn what_would_help_helps(
        script in prop::collection::vec(calls(), 1..80),
        precedence in prop_oneof![
            Just(Precedence::Share), Just(Precedence::ShareWithBoost), Just(Precedence::Priority)],
    ) {
        let mut fair = fresh(precedence);
        let mut now = START;
        for (at, call) in script.iter().enumerate() {
            play(&mut fair, call, &mut now);
            if at % 8 == 7 || at + 1 == script.len() {
                explained(&fair);
            }
        }
    }
}
