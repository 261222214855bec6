//! Answers that real clusters give rarely.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::real::Real;
use super::scripted::{Scripted, ended, list, made, status};
use super::*;

const PODS: &str = "/pods";

/// Answers creates one after the other, the last for ever; remembers the pod; applies everything else.
fn server(creates: Vec<Option<(u16, Value)>>) -> Scripted {
    let mut creates = creates.into_iter();
    let mut pod = None;
    Scripted::new(move |method, path, body| match method {
        "POST" if path.ends_with(PODS) => {
            pod.get_or_insert_with(|| ended(body.clone()));
            match creates.next().flatten() {
                Some(refused) => refused,
                None => (201, ended(body)),
            }
        }
        "PATCH" => (200, body),
        "DELETE" => (200, pod.clone().unwrap_or_default()),
        "GET" if path.contains("/pods/") => {
            pod.clone().map_or(status(404, "NotFound", "no pod"), |pod| (200, pod))
        }
        "GET" if path == "/api/v1/pods" => list(&[]),
        "WATCH" => (200, Value::Null),
        other => panic!("{other} {path}"),
    })
}

/// Makes pods, and gives every watch up at once; lists show what became of them.
fn forgetful(becomes: fn(&Value) -> Option<Value>) -> Scripted {
    let mut pod = None;
    Scripted::new(move |method, path, body| match method {
        "POST" => (201, pod.insert(made(body)).clone()),
        "PATCH" => (200, body),
        "GET" if path == "/api/v1/pods" => {
            list(&pod.iter().filter_map(becomes).collect::<Vec<_>>())
        }
        "GET" => {
            let now = pod.as_ref().and_then(becomes);
            now.map_or(status(404, "NotFound", "no pod"), |pod| (200, pod))
        }
        "WATCH" => {
            let (_, gone) = status(410, "Expired", "too old resource version");
            (200, json!({ "type": "ERROR", "object": gone }))
        }
        other => panic!("{other} {path}"),
    })
}

async fn end_of(server: &Scripted) -> String {
    let real = Real::at(server.kubeconfig.path()).await;
    let mut told = real.runner(Bounds::default());
    told.runner.start(real.order("true"));
    let end = told.end().await;
    told.close().await;
    end
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_itself_repeats_nothing() {
    let server = server(vec![Some(status(504, "Timeout", "too slow"))]);
    let real = Real::at(server.kubeconfig.path()).await;
    real.pods()
        .create(&PostParams::default(), &k8s_openapi::api::core::v1::Pod::default())
        .await
        .expect_err("504");
    assert_eq!(server.count("POST", PODS), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_whose_making_got_no_answer_is_found_and_not_made_again() {
    let exists = status(409, "AlreadyExists", "pods \"x\" already exists");
    let server = server(vec![Some(status(504, "Timeout", "too slow")), Some(exists)]);
    assert_eq!(end_of(&server).await, "success 0");
    assert_eq!(server.count("POST", PODS), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_or_busy_quota_is_tried_again() {
    let busy = "Operation cannot be fulfilled on resourcequotas \"flowforge\"";
    let full = "pods \"x\" is forbidden: exceeded quota: flowforge";
    let server = server(vec![
        Some(status(409, "Conflict", busy)),
        Some(status(403, "Forbidden", full)),
        None,
    ]);
    assert_eq!(end_of(&server).await, "success 0");
    assert_eq!(server.count("POST", PODS), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_webhook_denies_fails_at_once_with_its_message() {
    let denied = status(403, "Forbidden", "admission webhook \"w\" denied the request: no");
    let server = server(vec![Some(denied)]);
    assert_eq!(end_of(&server).await, "Error pod_refused");
    assert_eq!(server.count("POST", PODS), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_vanished_is_made_again() {
    let mut gone = status(404, "NotFound", "namespaces \"x\" not found");
    gone.1["details"] = json!({ "kind": "namespaces" });
    let server = server(vec![Some(gone), None]);
    assert_eq!(end_of(&server).await, "success 0");
    assert_eq!(server.count("PATCH", "/networkpolicies/flowforge"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_the_cluster_does_not_answer_finds_out_what_was_made() {
    let lost = || Some(status(504, "Timeout", "too slow"));
    let server = server((0..1000).map(|_| lost()).collect());
    let real = Real::at(server.kubeconfig.path()).await;
    let mut told = real.runner(Bounds::default());
    let order = real.order("true");
    told.runner.start(Arc::clone(&order));
    while server.count("POST", PODS) == 0 {
        tokio::task::yield_now().await;
    }
    told.runner.stop(order.attempt);
    // It was made, and had ended well before anybody could stop it.
    assert_eq!(told.end().await, "success 0");
    told.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_whose_history_is_gone_begins_again_with_a_list() {
    let server = forgetful(|pod| Some(ended(pod.clone())));
    assert_eq!(end_of(&server).await, "success 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_in_no_list_and_cannot_be_read_is_gone() {
    let server = forgetful(|_| None);
    assert_eq!(end_of(&server).await, "Lost pod_deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_costs_one_create_and_one_delete() {
    let server = server(Vec::new());
    let real = Real::at(server.kubeconfig.path()).await;
    let mut told = real.runner(Bounds::default());
    let order = real.order("true");
    told.runner.start(Arc::clone(&order));
    assert_eq!(told.end().await, "success 0");
    told.runner.settled(order.attempt);
    told.runner.settled(order.attempt);
    // Behind both in every line.
    let next = real.order("true");
    told.runner.start(Arc::clone(&next));
    assert_eq!(told.end().await, "success 0");
    while server.count("DELETE", &real.name(&order)) == 0 {
        tokio::task::yield_now().await;
    }
    told.close().await;
    assert_eq!(server.count("POST", PODS), 2);
    assert_eq!(server.count("DELETE", &real.name(&order)), 1);
    assert_eq!(server.count("DELETE", &real.name(&next)), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_answer_takes_no_more_until_it_does() {
    let answers = Arc::new(AtomicBool::new(false));
    let there = Arc::clone(&answers);
    let server = Scripted::new(move |method, _, _| match method {
        _ if !there.load(Ordering::Acquire) => status(503, "ServiceUnavailable", "not yet"),
        "WATCH" => (200, Value::Null),
        _ => list(&[]),
    });
    let real = Real::at(server.kubeconfig.path()).await;
    let told = real.runner(Bounds::default());
    let mut takes_more = told.runner.takes_more.clone();
    takes_more.wait_for(|more| !more).await.expect("a runner");
    assert!(!told.runner.takes_more());
    answers.store(true, Ordering::Release);
    takes_more.wait_for(|more| *more).await.expect("a runner");
    told.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_gang_that_cannot_be_made_whole_nothing_stays() {
    let denied = || status(403, "Forbidden", "admission webhook \"w\" denied the request: no");
    let server = Scripted::new(move |method, path, body| match method {
        "POST" if path.ends_with(PODS) => {
            let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            if name.ends_with("-2") { denied() } else { (201, made(body)) }
        }
        "DELETE" => status(404, "NotFound", "no pod"),
        "PATCH" => (200, body),
        "GET" if path == "/api/v1/pods" => list(&[]),
        "WATCH" => (200, Value::Null),
        other => panic!("{other} {path}"),
    });
    let real = Real::at(server.kubeconfig.path()).await;
    let mut told = real.runner(Bounds::default());
    let gang = real.gang("true", 4);
    told.runner.start(Arc::clone(&gang));
    assert_eq!(told.next().await, "Error pod_refused");
    told.close().await;
    let deletes = |member| server.count("DELETE", &gang.pod_name(Some(member)));
    let deletes = [0, 1, 2, 3].map(deletes);
    assert!(deletes.iter().all(|count| *count <= 1), "{deletes:?}");
    // All but the one that was denied.
    assert_eq!(deletes.iter().sum::<usize>(), server.count("POST", PODS) - 1);
}
