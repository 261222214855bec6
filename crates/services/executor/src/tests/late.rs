use flowforge_model::attempt::{Object, Request};
use flowforge_model::id::InstanceId;
use flowforge_model::object::Action;
use flowforge_model::time::Millis;
use flowforge_ports::claims::Claims;
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
    ) -> Result<Vec<Claimed>, StoreError> {
        let claimed = keys.iter().map(|key| claimed(*key)).collect();
        self.asked.notify_one();
        self.answer.notified().await;
        Ok(claimed)
    }

    async fn report(&self, _: InstanceId, _: &[Fact]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn stops(&self, _: InstanceId) -> Result<Vec<AttemptKey>, StoreError> {
        Ok(vec![key(1)])
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

/// It may run already, with the executor that had it before.
#[tokio::test]
async fn what_is_to_stop_while_it_is_claimed_is_stopped_once_it_is_known() {
    let store = Arc::new(Late::default());
    let (executor, fake, _, facts) = fixture();
    let instance = InstanceId(key(1).workflow.0);
    let station = Station::new(Arc::clone(&store), Arc::new(executor), instance);
    let stops = async {
        store.asked.notified().await;
        station.look_for_stops().await.unwrap();
        assert_eq!(fake.take(), [""; 0]);
        store.answer.notify_one();
    };
    let wanted = [key(1)];
    let (taken, ()) = tokio::join!(station.take(&wanted), stops);
    assert_eq!(taken.unwrap(), []);
    station.look_for_stops().await.unwrap();
    assert_eq!(fake.take(), ["start 1", "stop"]);
    assert_eq!(*facts.lock().unwrap(), [], "it ends when it has ended");
}

/// The one that was sent may have been answered.
#[tokio::test]
async fn a_request_that_outlived_its_executor_is_lost() {
    let (store, fake) = (Arc::new(Rows(Work::Request(Box::new(request())))), Fake::default());
    let executor = Arc::new(Executor::new(fake.clone(), Arc::new(Ledger::new(|_| {})), Fixed));
    let station = Station::new(store, executor, InstanceId(key(1).workflow.0));
    let ends = station.take(&[key(1)]).await.unwrap();
    let [Fact { kind: FactKind::Finished(report), .. }] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!(report.failure.as_ref().unwrap().class, FailureClass::Lost);
    assert_eq!(fake.take(), [""; 0]);
}

/// What is asked for a second time is found by its name.
#[tokio::test]
async fn an_object_that_outlived_its_executor_is_carried_on() {
    let (store, fake) = (Arc::new(Rows(Work::Object(Box::new(object())))), Fake::default());
    let executor = Arc::new(Executor::new(fake.clone(), Arc::new(Ledger::new(|_| {})), Fixed));
    let station = Station::new(store, executor, InstanceId(key(1).workflow.0));
    assert_eq!(station.take(&[key(1)]).await.unwrap(), []);
    assert_eq!(fake.take(), ["start 1"]);
}

fn object() -> Object {
    Object {
        action: Action::Get,
        manifest: None,
        target: None,
        success: None,
        failure: None,
        outputs: Vec::new(),
    }
}

fn request() -> Request {
    Request {
        method: "POST".to_owned(),
        url: "http://a".to_owned(),
        headers: Vec::new(),
        body: String::new(),
        timeout: Millis(1),
        success: None,
        insecure: false,
    }
}

/// Gives work of executors that are gone.
struct Rows(Work);

impl Claims for Rows {
    async fn claim(
        &self,
        _: InstanceId,
        _: Timestamp,
        keys: &[AttemptKey],
    ) -> Result<Vec<Claimed>, StoreError> {
        let sent = |key: &AttemptKey| {
            let mut order = (*order(key.number)).clone();
            order.work = self.0.clone();
            Claimed { key: *key, order: Ok(order), outlived: true }
        };
        Ok(keys.iter().map(sent).collect())
    }

    async fn report(&self, _: InstanceId, _: &[Fact]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn stops(&self, _: InstanceId) -> Result<Vec<AttemptKey>, StoreError> {
        Ok(Vec::new())
    }
}
