//! A scheduler that leads writes down what was used, and nobody else does.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails; clippy exempts test functions but not what they call"
)]

use std::sync::Arc;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{EntityId, InstanceId, NodeIx, WorkflowId};
use flowforge_model::quota::Dimension;
use flowforge_model::resources::{Bytes, MilliCpu, ResourceList};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_model::usage::Measured;
use flowforge_ports::admission::{Admission as _, Ready};
use flowforge_ports::leases::{Attendance, Leases as _, Role};
use flowforge_ports::store::StoreError;
use flowforge_ports::usage::{USAGE_ROWS, UsageHistory as _};
use flowforge_store::MemoryStore;
use flowforge_svc_scheduler::{Leader, LocalAdmission, Rules};
use uuid::Uuid;

const EVERY: Option<Millis> = Some(Millis(60_000));
/// The beginning of an interval.
const AT: Timestamp = Timestamp(6_000_000);

fn later(seconds: u64) -> Timestamp {
    AT.plus(Millis::from_secs(seconds))
}

async fn lead(store: &MemoryStore, number: u128, ttl: u64) -> u64 {
    let holder = InstanceId(Uuid::from_u128(number));
    let said = Attendance::new(Role::Scheduler, holder, Millis(ttl));
    store.attend(said).await.unwrap().leases.first().unwrap().epoch
}

async fn leader(store: &Arc<MemoryStore>, epoch: u64) -> Leader<MemoryStore> {
    let leader =
        Leader::start(Arc::clone(store), epoch, (ClusterName::default(), Rules::default()))
            .await
            .unwrap();
    leader.measuring(EVERY)
}

async fn kept(store: &MemoryStore) -> Vec<(Timestamp, u32)> {
    let rows = store.usage(None, Timestamp(0), Timestamp(i64::MAX), 9).await.unwrap();
    rows.iter().map(|row| (row.at, row.looks)).collect()
}

#[tokio::test]
async fn the_one_that_leads_writes_each_interval_once_and_one_that_was_replaced_none() {
    let store = Arc::new(MemoryStore::new());
    let epoch = lead(&store, 1, 0).await;
    let mut first = leader(&store, epoch).await;
    for seconds in 0..=60 {
        assert_eq!(kept(&store).await, []);
        first.repair(later(seconds)).await.unwrap();
    }
    assert_eq!(kept(&store).await, [(AT, 30)]);
    first.repair(later(61)).await.unwrap();
    let next = lead(&store, 2, 1_000_000).await;
    let mut second = leader(&store, next).await;
    second.repair(later(90)).await.unwrap();
    assert!(matches!(first.repair(later(120)).await, Err(StoreError::Fenced)));
    assert_eq!(kept(&store).await, [(AT, 30)]);
    second.repair(later(120)).await.unwrap();
    assert_eq!(kept(&store).await, [(AT, 30), (later(60), 1)]);
}

fn running(number: usize) -> Ready {
    let id = |base: u128| Uuid::from_u128(base + u128::try_from(number).unwrap());
    Ready {
        key: AttemptKey { workflow: WorkflowId(id(1 << 64)), node: NodeIx(0), number: 1 },
        priority: 0,
        since: AT,
        project: EntityId(id(1 << 80)),
        requests: ResourceList { cpu: MilliCpu(5), ..ResourceList::default() },
        limits: ResourceList::default(),
        pods: 1,
        storage: Bytes(0),
        parallelism: None,
        lasts: None,
        retry: false,
        template: None,
        called: false,
    }
}

#[test]
fn many_entities_are_told_a_part_at_a_time_and_those_of_before_are_given_up() {
    let mut admission = LocalAdmission::new(1, Rules::default()).measuring(EVERY);
    for number in 0..=USAGE_ROWS {
        admission.adopt(running(number));
    }
    assert_eq!(admission.measure(AT), []);
    assert_eq!(admission.next_look(), Some(later(2)));
    let part = admission.measure(later(60));
    assert_eq!(part.len(), USAGE_ROWS);
    assert_eq!((part[0].entity, part[1].used[Dimension::CpuRequest as usize].most), (None, 5));
    assert_eq!(admission.next_look(), Some(Timestamp(0)));
    assert_eq!(admission.measure(later(60)).len(), 2);
    assert_eq!(admission.measure(later(60)), []);
    assert_eq!(admission.measure(later(120)).len(), USAGE_ROWS);
    let fresh = |rows: Vec<Measured>| rows.iter().all(|row| row.at == later(120));
    assert!(fresh(admission.measure(later(180))));
    assert!(fresh(admission.measure(later(180))));
    assert_eq!(admission.measure(later(180)), []);
}
