//! What every queue does. Each case runs in process, and with `cargo xtask test --tier redis` on a
//! server, on one with a password and on a cluster.
//!
//! No case sleeps to let something happen: it waits for what it wants, or asks again until a
//! deadline.

mod beats;
mod cluster;
mod dead;
mod faults;
mod hints;
mod loss;
mod server;
#[cfg(feature = "tls")]
mod tls;
mod work;

use std::sync::LazyLock;
use std::time::Duration;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{InstanceId, NodeIx, WorkflowId};
use flowforge_model::time::Timestamp;
use flowforge_ports::queue::{
    ClusterName, Delivery, Dispatch, Dispatches, Heartbeats, Hints, QueueError, Receipt,
};
use tokio::time::Instant;
use uuid::Uuid;

use self::cluster::Cluster;
use self::server::Server;
use crate::LocalQueue;
use crate::inbox::Listener;

/// A queue that can be lost.
pub(crate) trait World {
    type Queue: Dispatches + Hints<Subscription = Listener> + Heartbeats + Clone;
    /// A client as another process has it.
    fn client(&self) -> Self::Queue;
    fn lose_everything(&self);
    /// As `kill -9` does.
    fn kill(&self);
    fn start_again(&self);
}

#[derive(Default)]
struct Process(LocalQueue);

impl World for Process {
    type Queue = LocalQueue;

    fn client(&self) -> LocalQueue {
        self.0.clone()
    }

    fn lose_everything(&self) {
        self.0.lose_everything();
    }

    fn kill(&self) {
        self.0.lose_everything();
    }

    fn start_again(&self) {}
}

/// One test per case and queue; on a cluster one after the other, since it takes seconds to start.
macro_rules! cases {
    ($($module:ident: $($case:ident)+;)+) => {
        mod in_process { $($(#[tokio::test] async fn $case() {
            super::$module::$case(&super::Process::default()).await;
        })+)+ }
        mod on_a_server { $($(#[tokio::test]
        #[ignore = "needs redis-server: cargo xtask test --tier redis"]
        async fn $case() {
            super::$module::$case(&super::Server::start(&[])).await;
        })+)+ }
        mod with_a_password { $($(#[tokio::test]
        #[ignore = "needs redis-server: cargo xtask test --tier redis"]
        async fn $case() {
            super::$module::$case(&super::Server::with_password()).await;
        })+)+ }
        mod on_a_cluster {
            #[tokio::test]
            #[ignore = "needs redis-server: cargo xtask test --tier redis"]
            async fn every_case_holds() {
                let mut cluster = super::Cluster::start();
                $($(
                    println!("{}::{}", stringify!($module), stringify!($case));
                    cluster.rename();
                    super::$module::$case(&cluster).await;
                )+)+
            }
        }
    };
}

cases! {
    work: what_is_sent_comes_in_order_until_acknowledged
        each_delivery_goes_to_one_consumer
        who_waits_is_woken
        who_waits_in_vain_is_told_in_time
        what_nobody_acknowledged_comes_again_and_is_counted
        what_was_taken_a_moment_ago_is_left_alone
        a_receive_that_is_dropped_loses_nothing
        the_rest_goes_back_to_the_end
        depth_is_what_is_not_acknowledged
        a_full_queue_takes_in_no_more_and_forgets_nothing
        clusters_do_not_see_each_other
        receipts_of_nothing_are_passed_over
        whatever_consumers_do_nothing_is_lost;
    dead: what_is_taken_too_often_is_buried_and_redriven_once
        dead_letters_are_read_in_pages
        dead_letters_are_bounded
        ids_of_nothing_are_refused;
    loss: losing_everything_in_the_middle_is_a_new_beginning
        a_killed_server_is_an_error_to_try_again
        work_goes_on_while_everything_is_lost_again_and_again;
    hints: a_subscriber_hears_its_topics_in_order
        a_slow_subscriber_is_told
        a_break_is_told_and_mended
        a_publisher_is_never_held_up;
    beats: who_beats_is_alive_until_it_expires
        roles_and_bodies_are_kept_apart
        a_loss_is_mended_by_the_next_beat;
}

/// Time within which everything happens, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(40);
const NO_WAIT: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(30);

/// Asks until there is an answer.
async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < until, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An answer, or none of an error that may be tried again. Others fail the test.
fn tried<T>(answer: Result<T, QueueError>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(error) if error.retryable() => None,
        Err(error) => panic!("{error}"),
    }
}

fn gpu() -> &'static ClusterName {
    static GPU: LazyLock<ClusterName> = LazyLock::new(|| ClusterName::parse("gpu").unwrap());
    &GPU
}

fn consumer(n: u128) -> InstanceId {
    InstanceId(Uuid::from_u128(n))
}

/// The n-th dispatch; those of one time share entries.
fn dispatch(n: u32, at: i64) -> Dispatch {
    let workflow = WorkflowId(Uuid::from_u128(7));
    let key = AttemptKey { workflow, node: NodeIx(n), number: 1 };
    Dispatch { key, epoch: 3, sent_at: Timestamp(at) }
}

/// Dispatches that share no entry.
fn single(numbers: std::ops::Range<u32>) -> Vec<Dispatch> {
    numbers.map(|n| dispatch(n, i64::from(n))).collect()
}

/// Dispatches that share entries.
fn packed(numbers: std::ops::Range<u32>) -> Vec<Dispatch> {
    numbers.map(|n| dispatch(n, 5)).collect()
}

fn all(deliveries: &[Delivery]) -> Vec<Dispatch> {
    deliveries.iter().flat_map(|delivery| delivery.dispatches.clone()).collect()
}

fn receipts(deliveries: &[Delivery]) -> Vec<Receipt> {
    deliveries.iter().map(|delivery| delivery.receipt.clone()).collect()
}
