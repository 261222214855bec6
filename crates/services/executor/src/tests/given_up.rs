//! Attempts of dead letters are ended, once, unless somebody runs them.

use std::sync::Arc;
use std::time::Duration;

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, FailureClass};
use flowforge_model::id::InstanceId;
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;
use flowforge_ports::claims::{Claimed, Claims};
use flowforge_ports::queue::{ClusterName, Dispatch, Dispatches};
use flowforge_ports::store::StoreError;
use flowforge_queue::LocalQueue;
use uuid::Uuid;

use super::{claimed, fixture, key, order};
use crate::Station;
use crate::given_up::GivenUp;

/// Every attempt may be claimed but the second, which somebody else has; the fourth is unreadable, the
/// sixth outlived whoever had it.
struct Rows;

impl Claims for Rows {
    async fn claim(
        &self,
        _executor: InstanceId,
        _at: Timestamp,
        keys: &[AttemptKey],
    ) -> Result<Vec<Claimed>, StoreError> {
        if keys.iter().any(|key| key.number == 4) {
            return Err(StoreError::Corrupt("order".to_owned()));
        }
        let ours = keys.iter().filter(|key| key.number != 2);
        Ok(ours.map(|key| Claimed { outlived: key.number == 6, ..claimed(*key) }).collect())
    }
    async fn report(&self, _executor: InstanceId, _facts: &[Fact]) -> Result<(), StoreError> {
        Ok(())
    }
    async fn stops(&self, _executor: InstanceId) -> Result<Vec<AttemptKey>, StoreError> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn attempts_of_dead_letters_fail_once_unless_they_run_somewhere() {
    let (executor, runner, _, facts) = fixture();
    let executor = Arc::new(executor);
    let me = InstanceId(Uuid::from_u128(7));
    let station = Station::new(Arc::new(Rows), Arc::clone(&executor), me);
    let (queue, cluster) = (LocalQueue::default(), ClusterName::default());
    let dispatch =
        |number| Dispatch { key: key(number), epoch: 1, sent_at: Timestamp(i64::from(number)) };
    let sent: Vec<_> = (1..=6).map(dispatch).collect();
    queue.send(&cluster, &sent).await.unwrap();
    executor.start(order(3));
    assert_eq!(runner.take(), ["start 3"]);
    for delivery in queue.receive(&cluster, me, 9, Duration::ZERO).await.unwrap() {
        queue.bury(&cluster, &delivery.receipt, "taken too often").await.unwrap();
    }
    let mut given_up = GivenUp::default();
    for _ in 0..2 {
        given_up.look(&queue, &cluster, &station).await.unwrap();
        let mut ended = Vec::new();
        for fact in facts.lock().unwrap().iter() {
            let FactKind::Finished(report) = &fact.kind else { panic!("{fact:?}") };
            let failure = report.failure.as_ref().unwrap();
            assert_eq!(
                (failure.class, failure.reason),
                (FailureClass::Lost, Reason::DispatchPoisoned)
            );
            ended.push(fact.key.number);
        }
        assert_eq!(ended, [1, 5]);
    }
    assert_eq!(runner.take(), ["start 6"], "only what runs already is looked after");
}
