use flowforge_model::id::InstanceId;
use flowforge_ports::claims::Claims;
use flowforge_ports::handover::Order;
use flowforge_ports::store::StoreError;
use tokio::sync::Notify;

use super::*;

/// A store that answers claims late, with what was true when they were made.
#[derive(Default)]
struct Late {
    asked: Notify,
    answer: Notify,
}

impl Claims for Late {
    async fn claim(
        &self,
        _: InstanceId,
        _: Timestamp,
        keys: &[AttemptKey],
    ) -> Result<Vec<(AttemptKey, Order)>, StoreError> {
        let claimed = keys.iter().map(|key| (*key, Ok((*order(key.number)).clone()))).collect();
        self.asked.notify_one();
        self.answer.notified().await;
        Ok(claimed)
    }

    async fn report(&self, _: InstanceId, _: &[Fact]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn stops(&self, _: InstanceId) -> Result<Vec<AttemptKey>, StoreError> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn what_ends_while_it_is_claimed_once_more_does_not_begin_again() {
    let (store, fake) = (Arc::new(Late::default()), Fake::default());
    let executor = Arc::new(Executor::new(fake.clone(), Arc::new(Ledger::new(|_| {})), Fixed));
    let instance = InstanceId(key(1).workflow.0);
    let station = Station::new(Arc::clone(&store), Arc::clone(&executor), instance);
    store.answer.notify_one();
    assert_eq!(station.take(&[key(1)]).await.unwrap(), []);
    assert_eq!(fake.take(), ["start 1"]);
    store.asked.notified().await;

    let ends = async {
        // A claim that is not made is not waited for.
        tokio::select! {
            () = store.asked.notified() => {}
            () = tokio::task::yield_now() => {}
        }
        executor.deliver(finished(1));
        station.report(&[finished(1)]).await.unwrap();
        store.answer.notify_one();
    };
    let once_more = [key(1)];
    let (again, ()) = tokio::join!(station.take(&once_more), ends);
    assert_eq!(again.unwrap(), []);
    assert_eq!(fake.take(), Vec::<String>::new());
}
