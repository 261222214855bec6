//! What every cluster does for a runner.

use super::real::Real;
use super::*;

pub(super) async fn a_task_runs_and_its_pod_goes_when_its_end_is_durable(real: Real) {
    let mut told = real.runner(Bounds::default());
    let script = format!(
        "test -n \"$FLOWFORGE_POD_UID\" && test -s /var/run/secrets/flowforge/token && \
         test \"$(id -u)\" = 10001 && test -w /flowforge && {REPORTED}"
    );
    let order = real.order(&script);
    told.runner.start(Arc::clone(&order));
    assert_eq!(told.next().await, "started");
    assert_eq!(told.next().await, "success 0");
    told.runner.settled(order.attempt);
    real.gone(&order).await;
    told.close().await;
    real.end().await;
}

pub(super) async fn ends_without_a_word_are_read_from_the_status(real: Real) {
    let bounds = Bounds { silence: Millis(500), ..Bounds::default() };
    let mut told = real.runner(bounds);
    told.runner.start(real.order("exit 3"));
    assert_eq!(told.end().await, "User exit_code 3");
    let mut big = (*real.order("tail /dev/zero")).clone();
    big.resources.requests.memory = Bytes(16 << 20);
    big.resources.limits.memory = Bytes(16 << 20);
    told.runner.start(Arc::new(big));
    assert_eq!(told.end().await, "User oom_killed 137");
    let mut long = (*real.order("sleep 1000")).clone();
    long.deadline = Some(Millis(1000));
    // The backstop of the cluster is far away: nobody is waited for here.
    let long = Arc::new(long);
    told.runner.start(Arc::clone(&long));
    assert_eq!(told.next().await, "started");
    real.pods().delete(&real.name(&long), &DeleteParams::default()).await.expect("a delete");
    assert_eq!(told.end().await, "Lost pod_deleted 137");
    told.close().await;
    real.end().await;
}

pub(super) async fn what_keeps_a_pod_from_starting_is_named_in_time(real: Real) {
    let short = Millis(1500);
    let bounds = Bounds { pull: short, config: short, ..Bounds::default() };
    let mut told = real.runner(bounds);
    let mut nowhere = process();
    nowhere.image = "registry.invalid/nothing:1".to_owned();
    told.runner.start(real.order_of(nowhere));
    assert_eq!(told.end().await, "Error image_pull");
    let mut secret = process();
    let key = SecretKey { name: "absent".to_owned(), key: "k".to_owned(), optional: false };
    secret.env.push(("PASSWORD".to_owned(), Given::Secret(key)));
    told.runner.start(real.order_of(secret));
    assert_eq!(told.end().await, "Error secret_missing");
    told.close().await;
    let mut told = real.runner(Bounds { start: Millis(3000), ..Bounds::default() });
    let mut large = (*real.order("true")).clone();
    large.resources.requests.memory = Bytes(1 << 50);
    large.resources.limits.memory = Bytes(1 << 50);
    told.runner.start(Arc::new(large));
    assert_eq!(told.end().await, "Error unschedulable");
    told.close().await;
    real.end().await;
}

pub(super) async fn a_stop_ends_the_pod(real: Real) {
    let mut told = real.runner(Bounds { silence: Millis(0), ..Bounds::default() });
    let order = real.order("trap 'exit 5' TERM; sleep 1000 & wait");
    told.runner.start(Arc::clone(&order));
    assert_eq!(told.next().await, "started");
    told.runner.stop(order.attempt);
    assert_eq!(told.next().await, "Stopped stopped 5");
    real.gone(&order).await;
    told.close().await;
    real.end().await;
}

pub(super) async fn a_pod_outlives_its_runner_and_the_next_one_takes_it_over(real: Real) {
    let mut first = real.runner(Bounds::default());
    let order = real.order(&format!("until test -e /flowforge/go; do sleep 0.1; done; {REPORTED}"));
    first.runner.start(Arc::clone(&order));
    assert_eq!(first.next().await, "started");
    let uid = real.uid(&order).await;
    first.close().await;
    let mut second = real.runner(Bounds::default());
    second.runner.start(Arc::clone(&order));
    assert_eq!(second.next().await, "started");
    assert_eq!(real.uid(&order).await, uid, "the same pod");
    second.runner.stop(order.attempt);
    assert!(second.next().await.starts_with("Stopped stopped"));
    second.close().await;
    real.end().await;
}

pub(super) async fn a_daemon_is_ready_for_every_runner_that_looks_after_it(real: Real) {
    let mut first = real.runner(Bounds::default());
    let mut order = (*real.order("trap 'exit 5' TERM; sleep 1000 & wait")).clone();
    order.daemon = Some(Box::new(Daemon { probe: None }));
    let order = Arc::new(order);
    first.runner.start(Arc::clone(&order));
    assert_eq!(first.next().await, "started");
    assert_eq!(first.next().await, "ready");
    first.close().await;
    let mut second = real.runner(Bounds { silence: Millis(0), ..Bounds::default() });
    second.runner.start(Arc::clone(&order));
    assert_eq!(second.next().await, "started");
    assert_eq!(second.next().await, "ready");
    second.runner.stop(order.attempt);
    assert_eq!(second.next().await, "Stopped stopped 5");
    real.gone(&order).await;
    second.close().await;
    real.end().await;
}

pub(super) async fn a_foreign_pod_with_the_name_is_a_conflict_and_is_left(real: Real) {
    let mut told = real.runner(Bounds::default());
    let first = real.order(REPORTED);
    told.runner.start(first);
    assert_eq!(told.end().await, "success 0");
    let order = real.order("true");
    let foreign = serde_json::from_value(serde_json::json!({
        "metadata": { "name": real.name(&order) },
        "spec": {
            "securityContext": { "runAsNonRoot": true, "runAsUser": 1,
                "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{ "name": "x", "image": "busybox", "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "1000"], "securityContext": {
                    "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } } }],
        },
    }));
    let foreign = foreign.expect("a pod");
    real.pods().create(&PostParams::default(), &foreign).await.expect("a pod");
    told.runner.start(Arc::clone(&order));
    assert_eq!(told.end().await, "Error name_conflict");
    told.runner.settled(order.attempt);
    told.close().await;
    real.pods().get(&real.name(&order)).await.expect("it is left");
    real.end().await;
}

pub(super) async fn fixed_files_are_there_and_a_full_namespace_is_waited_for(mut real: Real) {
    // Half as much again are two.
    real.project.limits = Limits { pods: Some(1), ..Limits::default() };
    let mut told = real.runner(Bounds::default());
    let mut process = process();
    let script = format!("grep -qx 'a = 1' /etc/c/d/e.ini && {REPORTED}");
    process.env.push(("SCRIPT".to_owned(), Given::Text(script)));
    let (volume, path) = ("Config File".to_owned(), "/etc/c".to_owned());
    process.mounts = vec![Mount { volume, path, sub_path: None, read_only: true }];
    for _ in 0..4 {
        let mut order = (*real.order_of(process.clone())).clone();
        let files = vec![("d/e.ini".to_owned(), "[x]\na = 1\n".to_owned())];
        let source = VolumeSource::Files(files);
        order.volumes = vec![Volume { name: "Config File".to_owned(), source }];
        told.runner.start(Arc::new(order));
    }
    for _ in 0..4 {
        let (id, end) = told.end_of().await;
        assert_eq!(end, "success 0");
        told.runner.settled(id);
    }
    told.close().await;
    real.end().await;
}

pub(super) async fn the_cluster_names_its_issuer_and_keys(real: Real) {
    let keys = real.cluster.keys("east").await.expect("keys");
    assert!(keys.issuer.starts_with("http") && keys.keys.contains("\"kid\""), "{keys:?}");
}
