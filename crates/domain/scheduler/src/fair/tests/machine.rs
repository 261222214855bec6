//! Random calls on small trees: after each of them all that is kept is what follows from scratch.

use flowforge_model::attempt::TemplateKey;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
pub(super) enum Call {
    Offer {
        workflow: u32,
        node: u32,
        project: u32,
        shape: usize,
        priority: i32,
        ago: i64,
    },
    Adopt {
        workflow: u32,
        node: u32,
        project: u32,
        shape: usize,
    },
    Withdraw(u32, u32),
    Release(u32, u32),
    RollBack(u32, u32),
    TakeBack(u32, u32),
    Gate(u32, bool),
    End(u32),
    Idle(u32),
    AdoptWorkflow(u32, u32),
    Admit {
        most: usize,
        later: i64,
    },
    Put {
        at: u32,
        parent: Option<u32>,
        weight: u16,
        pods: Option<u64>,
        cpu: Option<u64>,
        slots: Option<u64>,
        cluster: Option<usize>,
    },
    Drop(u32),
    /// So many slots at home and in each of two other clusters.
    Slots([u64; 3]),
    Capacity {
        pods: Option<u64>,
        cpu: Option<u64>,
        gpu: Option<u64>,
    },
}

fn shape(which: usize) -> Amounts {
    let [cpu, gpu, count] = [
        [100, 0, 1],
        [400, 0, 1],
        [100, 1, 1],
        [0, 2, 1],
        [800, 0, 4],
        [300, 4, 4],
        [0, 0, 1],
        [10_000, 0, 1],
    ][which % 8];
    let need = pods(count).with(Dimension::CpuRequest, cpu);
    need.with(Dimension::Gpu, gpu)
}

pub(super) fn calls() -> impl Strategy<Value = Call> {
    let (w, n, p) = (0..6u32, 0..8u32, 5..12u32);
    prop_oneof![
        20 => (w.clone(), n.clone(), p.clone(), 0..8usize, -1..3i32, 0..5_000_000i64).prop_map(
            |(workflow, node, project, shape, priority, ago)| Call::Offer {
                workflow, node, project, shape, priority: priority * 50, ago
            }),
        2 => (w.clone(), n.clone(), p.clone(), 0..8usize)
            .prop_map(|(workflow, node, project, shape)| Call::Adopt { workflow, node, project, shape }),
        2 => (w.clone(), n.clone()).prop_map(|(w, n)| Call::Withdraw(w, n)),
        12 => (w.clone(), n.clone()).prop_map(|(w, n)| Call::Release(w, n)),
        3 => (w.clone(), n.clone()).prop_map(|(w, n)| Call::RollBack(w, n)),
        3 => (w.clone(), n.clone()).prop_map(|(w, n)| Call::TakeBack(w, n)),
        2 => (w.clone(), any::<bool>()).prop_map(|(w, open)| Call::Gate(w, open)),
        1 => w.clone().prop_map(Call::End),
        1 => w.clone().prop_map(Call::Idle),
        1 => (w, p).prop_map(|(w, p)| Call::AdoptWorkflow(w, p)),
        10 => (0..4usize, prop_oneof![0..20_000i64, 0..3_000_000i64])
            .prop_map(|(most, later)| Call::Admit { most, later }),
        4 => (1..12u32, prop::option::of(1..8u32), 1..5u16, prop::option::of(0..6u64),
              prop::option::of(0..3000u64), prop::option::of(0..3u64), prop::option::of(0..2usize))
            .prop_map(|(at, parent, weight, pods, cpu, slots, cluster)| Call::Put {
                at, parent: parent.filter(|_| at > 4), weight: weight * weight * 20, pods, cpu, slots, cluster
            }),
        1 => [0..8u64, 0..8u64, 0..4u64].prop_map(Call::Slots),
        1 => (1..12u32).prop_map(Call::Drop),
        1 => (prop::option::of(0..20u64), prop::option::of(0..5000u64), prop::option::of(0..8u64))
            .prop_map(|(pods, cpu, gpu)| Call::Capacity { pods, cpu, gpu }),
    ]
}

/// How the attempt of a task ends, if it runs.
fn outcome(node: u32) -> Option<Outcome> {
    let of = [Outcome::Broken, Outcome::Succeeded, Outcome::Failed].map(Some);
    let [broken, succeeded, failed] = of;
    [broken, succeeded, broken, broken, succeeded, failed, None, broken][(node % 8) as usize]
}

fn elsewhere(which: usize) -> ClusterName {
    ClusterName::parse(["east", "west"][which]).unwrap()
}

pub(super) const START: i64 = 1_700_000_000_000;

pub(super) fn play(fair: &mut FairShare, call: &Call, now: &mut i64) -> Vec<AttemptKey> {
    let offer = |w: u32, n: u32, project: u32, which: usize| {
        // Workflow 5 was called by 0; 3 has a volume, 4 a parallelism.
        let root = workflow(if w == 5 { 0 } else { w });
        let storage = if w == 3 { 70 } else { 0 };
        // 4 is waited for by a workflow of somewhere else.
        let called = w == 4;
        let parallelism = (w == 4).then_some(2);
        let need = shape(which);
        // Some say how long they last at most.
        let lasts = n.is_multiple_of(2).then(|| Millis(1000 << n));
        let retry = n.is_multiple_of(3);
        let template = Some(TemplateKey(u64::from(n % 2)));
        let of = candidate(w, n, project);
        Candidate { root, storage, called, parallelism, need, lasts, retry, template, ..of }
    };
    match *call {
        Call::Offer { workflow, node, project, shape, priority, ago } => {
            let offered = offer(workflow, node, project, shape);
            fair.offer(Candidate { priority, since: Timestamp(*now - ago), ..offered });
        }
        Call::Adopt { workflow, node, project, shape } => {
            fair.adopt(offer(workflow, node, project, shape));
        }
        Call::Withdraw(w, n) => fair.withdraw(key(w, n)),
        Call::Release(w, n) => fair.end(key(w, n), outcome(n)),
        Call::RollBack(w, n) => fair.roll_back(key(w, n)),
        Call::TakeBack(w, n) => fair.take_back(key(w, n)),
        Call::Gate(w, open) => fair.gate(workflow(w), open),
        Call::End(w) => fair.end_workflow(workflow(w)),
        Call::Idle(w) => fair.idle(workflow(w)),
        Call::AdoptWorkflow(w, p) => fair.adopt_workflow(workflow(w), entity_id(p), (5, w == 4)),
        Call::Admit { most, later } => {
            *now += later;
            return fair.admit(Timestamp(*now), most);
        }
        Call::Put { at, parent, weight, pods, cpu, slots, cluster } => {
            let mut put = entity(at, parent, weight);
            put.cluster = cluster.map(elsewhere);
            let quota = put.quota.as_mut().unwrap();
            quota.limits[Dimension::Pods as usize] = pods;
            quota.limits[Dimension::CpuRequest as usize] = cpu;
            quota.limits[Dimension::Workflows as usize] = slots;
            let _refused = fair.upsert(&put).is_err();
        }
        Call::Drop(at) => {
            let _refused = fair.remove(entity_id(at)).is_err();
        }
        Call::Slots([home, east, west]) => {
            let places = [(elsewhere(0), east), (elsewhere(1), west)];
            let home = (ClusterName::default(), home);
            fair.resize_each(&places.into_iter().chain([home]).collect());
        }
        Call::Capacity { pods, cpu, gpu } => {
            let mut capacity = [None; Dimension::COUNT];
            capacity[Dimension::Pods as usize] = pods;
            capacity[Dimension::CpuRequest as usize] = cpu;
            capacity[Dimension::Gpu as usize] = gpu;
            fair.capacity(capacity);
        }
    }
    Vec::new()
}

pub(super) fn fresh(precedence: Precedence) -> FairShare {
    // Few calls: whoever waits for longer than ten seconds claims.
    let retries = RetryBudget { per_second: 1, percent: 50, burst: 2 };
    let breaker = RetryBreaker { failures: 2, pause: Millis(5000) };
    let settings = Settings { precedence, claim_after: Millis(10_000), retries, breaker };
    let mut fair = FairShare::new(12, settings);
    for (at, parent) in
        [(1, None), (2, None), (5, Some(1)), (6, Some(1)), (7, Some(2)), (8, Some(6))]
    {
        fair.upsert(&entity(at, parent, 100)).unwrap();
    }
    fair
}

proptest! {
    /// QINV-1, 2, 7, 8, and what is kept is worked out anew after every call. QINV-16: the same
    /// calls give the same answers, on a clone as well.
    #[test]
    fn what_is_kept_is_what_follows_from_scratch(
        script in prop::collection::vec(calls(), 1..120),
        precedence in prop_oneof![
            Just(Precedence::Share), Just(Precedence::ShareWithBoost), Just(Precedence::Priority)],
    ) {
        let mut fair = fresh(precedence);
        let (mut now, mut again) = (START, START);
        let mut twin = fair.clone();
        for (at, call) in script.iter().enumerate() {
            let over = |fair: &FairShare, place: Place| {
                let (used, limit) = fair.room_but_slots(place);
                used.0.into_iter().zip(limit.0)
                    .chain(fair.clusters.each_slots())
                    .map(|(used, limit)| used.saturating_sub(limit)).collect::<Vec<_>>()
            };
            let places: Vec<Place> = (0..fair.tree().places())
                .map(|at| Place(u32::try_from(at).unwrap())).collect();
            let before: Vec<_> = places.iter().map(|place| over(&fair, *place)).collect();
            let answer = play(&mut fair, call, &mut now);
            if matches!(call, Call::Admit { .. }) {
                for (place, before) in places.iter().zip(before) {
                    let after = over(&fair, *place);
                    prop_assert!(after.iter().zip(before).all(|(after, before)| *after <= before));
                }
            }
            prop_assert_eq!(fair.audit(), Vec::<String>::new(), "after call {} {:?}", at, call);
            let usage: Vec<_> = fair.usage().collect();
            let (waiting, running) = (fair.waiting() as u64, fair.held() as u64);
            prop_assert_eq!((usage[0].entity, usage[0].waiting, usage[0].running), (None, waiting, running));
            prop_assert_eq!(answer, play(&mut twin, call, &mut again));
            if at % 7 == 0 {
                twin = fair.clone();
            }
        }
    }

    /// Whatever was done, when all have ended nothing is left.
    #[test]
    fn nothing_is_left_at_rest(script in prop::collection::vec(calls(), 1..100)) {
        let mut fair = fresh(Precedence::Share);
        let mut now = START;
        for call in &script {
            play(&mut fair, call, &mut now);
        }
        for w in 0..6 {
            fair.gate(workflow(w), true);
            for n in 0..8 {
                fair.withdraw(key(w, n));
                fair.release(key(w, n));
                fair.release(key(w, n));
            }
        }
        for w in 0..6 {
            fair.end_workflow(workflow(w));
        }
        prop_assert_eq!(fair.audit(), Vec::<String>::new());
        prop_assert_eq!((fair.held(), fair.waiting()), (0, 0));
        prop_assert_eq!(fair.tree().usage(Place::ROOT), Amounts::ZERO);
        prop_assert!(fair.shapes.is_empty() && fair.lanes.is_empty() && fair.aging.is_empty());
        for at in 0..fair.tree().places() {
            let branch = fair.branches.get(Place(u32::try_from(at).unwrap())).unwrap();
            prop_assert!(branch.buckets.is_empty());
        }
    }
}
