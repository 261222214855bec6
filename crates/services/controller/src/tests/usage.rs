//! What an admission measured goes into the commit of the turn, alone if there is nothing else.

use std::sync::Arc;

use flowforge_model::id::InstanceId;
use flowforge_model::time::Timestamp;
use flowforge_model::usage::Measured;
use flowforge_ports::usage::UsageHistory as _;

use super::fixture::Slots;
use super::flaky::Flaky;
use crate::{Config, Controller};

#[tokio::test]
async fn what_was_measured_is_committed_once() {
    let store = Flaky::new();
    let row = Measured { looks: 3, ..Measured::new(Timestamp(300_000), None) };
    for one_by_one in [false, true] {
        let mut slots = Slots::new(2);
        slots.measured.push(row);
        let config = Config {
            instance: InstanceId(uuid::Uuid::from_u128(1)),
            default_retry: None,
            one_by_one,
        };
        let mut controller = Controller::start(Arc::clone(&store), slots, config).await.unwrap();
        for now in [1, 2] {
            controller.turn(Vec::new(), Timestamp(now)).await.unwrap();
        }
        let written =
            store.commits.lock().unwrap().drain(..).filter(|all| all.usage == [row]).count();
        assert_eq!(written, 1);
    }
    let kept = store.inner.usage(None, Timestamp(0), Timestamp(i64::MAX), 9).await.unwrap();
    assert_eq!(kept, [row]);
}
