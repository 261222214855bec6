use proptest::prelude::*;

use super::machine::{START, calls, fresh, play};
use super::*;
use crate::{Batch, Change, Code, Preview};

const NOW: Timestamp = Timestamp(1_000_000);

fn batch(of: u32, project: u32, count: u32) -> Batch {
    Batch { first: candidate(of, 0, project), count }
}

#[test]
fn it_says_what_starts_in_which_order_and_why_the_rest_waits() {
    let mut fair = FairShare::new(4, Settings::default());
    fair.upsert(&entity(1, None, 100)).unwrap();
    fair.upsert(&limit(entity(11, Some(1), 100), Dimension::Pods, 2)).unwrap();
    fair.upsert(&entity(12, Some(1), 100)).unwrap();
    fair.offer(candidate(1, 0, 12));
    let before = format!("{fair:?}");
    let asked = [batch(2, 11, 3), batch(3, 12, 9)];
    let said = fair.preview(NOW, &[], &asked, 100).unwrap();
    assert_eq!(said.starts, [key(1, 0), key(2, 0), key(2, 1), key(3, 0)]);
    assert!(said.complete);
    let waits = |of: &Preview| -> Vec<_> {
        of.waits.iter().map(|one| one.as_ref().map(|(key, why)| (*key, why.code))).collect()
    };
    assert_eq!(
        waits(&said),
        [Some((key(2, 2), Code::QuotaFull)), Some((key(3, 1), Code::CapacityFull))]
    );
    let changes = [Change::Slots(100), Change::Entity(entity(11, Some(1), 100))];
    let said = fair.preview(NOW, &changes, &asked, 100).unwrap();
    assert_eq!((said.starts.len(), waits(&said)), (13, vec![None, None]));
    // More would start than is told.
    let said = fair.preview(NOW, &changes, &asked, 5).unwrap();
    assert_eq!((said.starts.len(), said.complete), (5, false));
    let none = fair.preview(NOW, &[], &[batch(2, 11, 0)], 100).unwrap();
    assert_eq!((none.starts, none.waits), (vec![key(1, 0)], vec![None]));
    let cycle = Change::Entity(entity(1, Some(11), 100));
    assert!(fair.preview(NOW, &[cycle], &[], 100).is_err());
    assert_eq!(format!("{fair:?}"), before);
}

proptest! {
    /// QINV-18: what is foretold happens when the same is then done, and foretelling changes nothing.
    /// In several steps as well, unless somebody claims between them.
    #[test]
    fn what_is_foretold_happens(
        script in prop::collection::vec(calls(), 0..80),
        batches in prop::collection::vec((5..12u32, 0..8u32, -1..3i32, 0..3u64, 0..4u64), 1..4),
        slots in prop::option::of(0..30u32),
        later in 0..8_000_000i64,
        step in prop_oneof![1..5usize, Just(1000)],
    ) {
        let mut fair = fresh(Precedence::Share);
        if step < 1000 {
            fair.settings.claim_after = Millis(i64::MAX.unsigned_abs() / 2);
        }
        let mut now = START;
        for call in &script {
            play(&mut fair, call, &mut now);
        }
        let now = Timestamp(now + later);
        let batch = |(at, (project, count, priority, gpu, cpu))| {
            let need = pods(1).with(Dimension::Gpu, gpu).with(Dimension::CpuRequest, cpu * 300);
            // As of workflows that are submitted last.
            let of = candidate(100 + u32::try_from(at).unwrap(), 0, project);
            let parallelism = (cpu == 1).then_some(2);
            let first = Candidate { need, parallelism, priority: priority * 50, since: now, ..of };
            Batch { first, count }
        };
        let batches: Vec<Batch> = batches.into_iter().enumerate().map(batch).collect();
        let changes: Vec<Change> = slots.map(Change::Slots).into_iter().collect();
        let before = format!("{fair:?}");
        let said = fair.preview(now, &changes, &batches, 1000).unwrap();
        prop_assert_eq!(format!("{:?}", fair), before);
        if let Some(slots) = slots {
            fair.resize(slots);
        }
        for candidate in batches.iter().flat_map(Batch::candidates) {
            fair.offer(candidate);
        }
        let mut started = Vec::new();
        loop {
            let some = fair.admit(now, step);
            started.extend(some.iter().copied());
            if some.len() < step {
                break;
            }
        }
        prop_assert_eq!(&said.starts, &started);
        prop_assert!(said.complete);
        for (batch, waits) in batches.iter().zip(said.waits) {
            let first = batch.candidates().find(|one| !started.contains(&one.key));
            prop_assert_eq!(first.map(|one| one.key), waits.as_ref().map(|one| one.0));
            if let Some((key, why)) = waits {
                let really = fair.why(key, now).unwrap();
                prop_assert_eq!((really.code, &really.short), (why.code, &why.short));
                prop_assert!(step < 1000 || really == why);
            }
        }
    }
}

#[test]
fn without_anybody_to_run_it_the_cluster_is_down() {
    let mut fair = FairShare::new(0, Settings::default());
    fair.upsert(&entity(1, None, 100)).unwrap();
    fair.upsert(&entity(11, Some(1), 100)).unwrap();
    fair.offer(candidate(1, 0, 11));
    let code = |fair: &FairShare| fair.why(key(1, 0), NOW).unwrap().code;
    assert_eq!(code(&fair), Code::ClusterDown);
    fair.resize(1);
    assert_eq!(code(&fair), Code::Next);
}
