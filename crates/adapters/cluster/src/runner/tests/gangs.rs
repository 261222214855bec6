//! Several pods of one attempt, on a real cluster: it has what a fake has not, nodes that are full.

use super::real::Real;
use super::*;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster: FLOWFORGE_TEST_KUBECONFIG"]
async fn a_gang_is_several_pods_that_go_together() {
    let real = Real::new().await;
    let mut told = real.runner(Bounds::default());
    let script = format!(
        "test \"$FLOWFORGE_GANG_SIZE\" = 3 && test \"${{HOSTNAME##*-}}\" = \"$FLOWFORGE_GANG_INDEX\" && \
         sleep 1 && {REPORTED}"
    );
    let gang = real.gang(&script, 3);
    told.runner.start(Arc::clone(&gang));
    assert_eq!(told.next().await, "started");
    assert_eq!(told.next().await, "success 0");
    told.runner.settled(gang.attempt);
    for member in 0..3 {
        real.name_gone(&gang.pod_name(Some(member))).await;
    }
    told.close().await;
    real.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster: FLOWFORGE_TEST_KUBECONFIG"]
async fn a_member_that_is_lost_ends_the_others() {
    let real = Real::new().await;
    let mut told = real.runner(Bounds { silence: Millis(0), ..Bounds::default() });
    let gang = real.gang("trap 'exit 5' TERM; sleep 1000 & wait", 3);
    told.runner.start(Arc::clone(&gang));
    assert_eq!(told.next().await, "started");
    let one = gang.pod_name(Some(1));
    real.pods().delete(&one, &DeleteParams::default().grace_period(0)).await.expect("a delete");
    assert!(told.next().await.starts_with("Lost pod_deleted"));
    for member in 0..3 {
        real.name_gone(&gang.pod_name(Some(member))).await;
    }
    told.close().await;
    real.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster: FLOWFORGE_TEST_KUBECONFIG"]
async fn a_gang_outlives_its_runner_and_the_next_one_takes_it_over() {
    let real = Real::new().await;
    let bounds = Bounds { silence: Millis(0), ..Bounds::default() };
    let mut first = real.runner(bounds);
    let gang = real.gang("trap 'exit 5' TERM; sleep 1000 & wait", 3);
    first.runner.start(Arc::clone(&gang));
    assert_eq!(first.next().await, "started");
    first.close().await;
    let mut second = real.runner(bounds);
    second.runner.start(Arc::clone(&gang));
    assert_eq!(second.next().await, "started");
    second.runner.stop(gang.attempt);
    assert!(second.next().await.starts_with("Stopped stopped"));
    second.close().await;
    real.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes cluster: FLOWFORGE_TEST_KUBECONFIG"]
async fn a_gang_of_one_member_too_many_gives_its_nodes_back() {
    let real = Real::new().await;
    let bounds = Bounds { bind: Millis(4000), silence: Millis(0), ..Bounds::default() };
    let mut told = real.runner(bounds);
    let mut gang = (*real.gang("sleep 1000", 3)).clone();
    // Two of them fit onto a node, and there is one.
    let share = real.memory().await / 5 * 2;
    gang.resources.requests.memory = Bytes(share);
    gang.resources.limits.memory = Bytes(share);
    let gang = Arc::new(gang);
    told.runner.start(Arc::clone(&gang));
    assert_eq!(told.next().await, "Error gang_not_bound");
    for member in 0..3 {
        real.name_gone(&gang.pod_name(Some(member))).await;
    }
    told.close().await;
    real.end().await;
}
