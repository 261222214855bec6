use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flowforge_model::id::InstanceId;
use flowforge_model::time::Millis;
use flowforge_ports::clock::SystemClock;
use tokio::sync::Notify;

use super::fixture::Slots;
use super::flaky::Flaky;
use crate::{Beside, Config, Outlet, Turned};

struct Nobody;

impl Outlet for Nobody {
    fn ready(&self) {}
    fn hand_out(&self, _: Turned) {}
    fn resend(&self) {}
}

/// Whoever refuses connections does so at once: without pauses it would be asked without end, by
/// every controller there is.
#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_asked_with_pauses() {
    let store = Arc::new(Flaky { away: true, ..Flaky::default() });
    let beside = Beside {
        store: Arc::clone(&store),
        config: Config {
            instance: InstanceId("01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()),
            default_retry: None,
            one_by_one: false,
        },
        clock: SystemClock,
        outlet: Nobody,
        admission: || Slots::new(2),
        ttl: Millis::from_secs(30),
        wake: Arc::new(Notify::new()),
    };
    beside.run(tokio::time::sleep(Duration::from_secs(60))).await;
    // At 0, 0.1, 0.3, 0.7, 1.5, 3.1 and 6.3 seconds, then ten times every five; two questions each, and
    // the farewell.
    assert_eq!(store.asked_in_vain.load(Ordering::Relaxed), 2 * 17 + 1);
}
