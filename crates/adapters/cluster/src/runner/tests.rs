//! The runner on clusters: a real one, whose kubeconfig `FLOWFORGE_TEST_KUBECONFIG` names and which has a node that
//! has, or can fetch, the image `busybox`; and a fake that keeps the same contract, and errs when it is told to.
//! Each test has a project, and so a namespace, of its own.

mod collected;
mod contract;
mod fake;
mod faults;
mod gangs;
mod objects;
mod real;
mod scripted;
mod sieve;

use flowforge_model::artifact::{Given, SecretKey};
use flowforge_model::attempt::{Mount, Volume, VolumeSource};
use flowforge_model::daemon::Daemon;
use flowforge_model::resources::Bytes;
use flowforge_model::time::Millis;
use kube::api::{DeleteParams, PostParams};

use super::*;
use crate::Bounds;
use crate::pod::tests::process;
use crate::project::Limits;

const REPORTED: &str = "printf reported >/dev/termination-log";

macro_rules! contract {
    ($($name:ident,)*) => {
        mod on_a_real_cluster {
            $(
                #[tokio::test(flavor = "multi_thread")]
                #[ignore = "needs a Kubernetes cluster: FLOWFORGE_TEST_KUBECONFIG"]
                async fn $name() {
                    super::contract::$name(super::real::Real::new().await).await;
                }
            )*
        }
        mod on_a_fake {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    let fake = super::fake::Fake::new();
                    let real = super::real::Real::at(fake.kubeconfig.path()).await;
                    super::contract::$name(real).await;
                }
            )*
        }
    };
}

contract! {
    a_task_runs_and_its_pod_goes_when_its_end_is_durable,
    ends_without_a_word_are_read_from_the_status,
    what_keeps_a_pod_from_starting_is_named_in_time,
    a_stop_ends_the_pod,
    a_pod_outlives_its_runner_and_the_next_one_takes_it_over,
    a_daemon_is_ready_for_every_runner_that_looks_after_it,
    a_foreign_pod_with_the_name_is_a_conflict_and_is_left,
    fixed_files_are_there_and_a_full_namespace_is_waited_for,
    the_cluster_names_its_issuer_and_keys,
}
