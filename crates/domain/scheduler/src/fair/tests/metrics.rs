use proptest::prelude::*;

use super::machine::{START, calls, fresh, play};
use super::*;
use crate::{Code, Metrics, Pools, Size, Waits, Where};

const NOW: Timestamp = Timestamp(1_000_000);

#[test]
fn those_who_wait_are_counted_by_what_they_wait_for_and_where() {
    let mut fair = FairShare::new(3, Settings::default());
    fair.upsert(&entity(1, None, 100)).unwrap();
    fair.upsert(&limit(entity(11, Some(1), 100), Dimension::Pods, 2)).unwrap();
    fair.upsert(&limit(entity(12, Some(1), 100), Dimension::Gpu, 1)).unwrap();
    for node in 0..5 {
        fair.offer(candidate(1, node, 11));
    }
    assert_eq!(fair.admit(NOW.plus(Millis(50)), 9).len(), 2);
    for node in 0..4 {
        fair.offer(candidate(2, node, 12));
    }
    let need = pods(1).with(Dimension::Gpu, 2);
    fair.offer(Candidate { need, ..candidate(3, 0, 12) });
    fair.offer(candidate(4, 0, 99));
    fair.offer(Candidate { priority: 90, ..candidate(5, 0, 12) });
    fair.gate(workflow(5), false);
    let project = Some(Where::Level(Level::Project));
    let before = format!("{fair:?}");
    let counted = fair.metrics(NOW);
    assert_eq!(format!("{fair:?}"), before);
    let pending = [
        ((Code::QuotaFull, project), 3),
        ((Code::ExceedsQuotaForever, project), 1),
        ((Code::NoSuchQueue, Some(Where::Unknown)), 1),
        ((Code::BehindPriority, None), 3),
        ((Code::Paused, None), 1),
        ((Code::Next, None), 1),
    ];
    assert_eq!(counted.pending, pending.into_iter().collect());
    assert_eq!((counted.running, counted.admitted, counted.undone, counted.drift), (2, 2, 0, 0));
    assert_eq!(fair.admit(NOW.plus(Millis(20_000)), 9).len(), 1);
    fair.roll_back(key(2, 0));
    let counted = fair.metrics(NOW);
    assert_eq!((counted.running, counted.admitted, counted.undone), (2, 3, 1));
    let [small, medium, large] = counted.waits;
    assert_eq!((small.counts, small.total), ([0, 2, 0, 0, 1, 0, 0, 0, 0], 20_100));
    assert_eq!((medium, large), (Waits::default(), Waits::default()));
}

#[test]
fn sizes_are_those_of_what_is_requested() {
    let need = |cpu, memory: u64, gpu| {
        let need = pods(1).with(Dimension::CpuRequest, cpu).with(Dimension::CpuLimit, 1 << 40);
        Size::of(&need.with(Dimension::MemoryRequest, memory << 30).with(Dimension::Gpu, gpu))
    };
    assert_eq!([need(1000, 4, 0), need(0, 0, 0)], [Size::Small; 2]);
    assert_eq!([need(1001, 4, 0), need(8000, 32, 1), need(1, 5, 0)], [Size::Medium; 3]);
    assert_eq!([need(8001, 1, 0), need(1, 33, 0), need(1, 1, 2)], [Size::Large; 3]);
    assert_eq!(Size::of(&pods(9)), Size::Large);
}

/// Two tenants, of whom the second comes when all is taken.
fn shared(weight: u16) -> FairShare {
    let mut fair = FairShare::new(8, Settings::default());
    for (tenant, weight) in [(1, 100), (2, weight)] {
        fair.upsert(&entity(tenant, None, weight)).unwrap();
        fair.upsert(&entity(tenant + 10, Some(tenant), 100)).unwrap();
    }
    for node in 0..20 {
        fair.offer(candidate(1, node, 11));
    }
    fair.admit(NOW, 6);
    for node in 0..20 {
        fair.offer(candidate(2, node, 12));
    }
    fair.admit(NOW, 2);
    fair
}

#[test]
fn a_pool_says_how_far_it_is_from_fair() {
    let key = (Where::Installation, Dimension::Pods);
    let pool = |fair: &FairShare| fair.metrics(NOW).pools.get(&key).copied();
    // 6 and 2 of 8, where 4 and 4 were fair: (6 + 2)^2 / (2 * (36 + 4)).
    assert_eq!(pool(&shared(100)), Some(Pools { count: 1, error: 0.25, jain: 0.8 }));
    // A third of the weight: 6 and 2 is fair.
    let third = pool(&shared(33)).unwrap();
    assert!(third.error < 0.01 && third.jain > 0.999, "{third:?}");
    // One that may not have more does not compete.
    let mut full = shared(100);
    full.upsert(&limit(entity(2, None, 100), Dimension::Pods, 2)).unwrap();
    assert_eq!(pool(&full), None);
}

proptest! {
    /// Everybody who waits is counted once, and of each queue the first waits for what an explanation says.
    #[test]
    fn everybody_is_counted_once(script in prop::collection::vec(calls(), 1..100)) {
        let mut fair = fresh(Precedence::Share);
        let mut now = START;
        let mut admitted = 0;
        for call in &script {
            admitted += play(&mut fair, call, &mut now).len() as u64;
        }
        let now = Timestamp(now);
        let Metrics { pending, running, admitted: counted, waits, drift, pools, .. } =
            fair.metrics(now);
        prop_assert_eq!(pending.values().sum::<u64>(), fair.waiting() as u64);
        prop_assert_eq!((running, counted, drift), (fair.held() as u64, admitted, 0));
        prop_assert_eq!(waits.iter().flat_map(|one| one.counts).sum::<u64>(), admitted);
        for pool in pools.values() {
            prop_assert!(pool.jain > 0.0 && pool.jain <= 1.000_001, "{:?}", pool);
            prop_assert!((0.0..=1.0).contains(&pool.error), "{:?}", pool);
        }
        let mut keys: Vec<AttemptKey> = fair.tasks.iter().map(|(_, task)| task.key).collect();
        keys.extend(fair.breaker.iter().map(|retry| retry.key));
        keys.extend(fair.rations.iter().map(|(_, retry)| retry.key));
        let said: Vec<Code> = keys.into_iter().map(|key| fair.why(key, now).unwrap().code)
            .filter(|code| *code != Code::Running).collect();
        for code in pending.keys().map(|key| key.0) {
            let behind = code == Code::BehindPriority && said.contains(&Code::Next);
            prop_assert!(behind || said.contains(&code), "{:?} {:?}", code, said);
        }
    }
}
