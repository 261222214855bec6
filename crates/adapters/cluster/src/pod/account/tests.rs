//! As whom pods speak to their cluster.

use flowforge_model::attempt::{Mount, Process, Volume as Asked, VolumeSource, Work};
use flowforge_model::time::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::pod::tests::{input, order, placement, process};
use crate::pod::{MAIN, build};

/// The `spec` of a pod that asks for this, or why there is none.
fn built(asked: &Value, process: Process, granted: &[&str]) -> Value {
    let mut order = order(process);
    order.pod = Some(asked.to_string().into());
    order.artifacts_in = vec![input("/in")];
    let source = VolumeSource::Empty;
    order.volumes = vec![Asked { name: "v".to_owned(), source }];
    let mut placement = placement();
    placement.grants.service_accounts = granted.iter().map(|one| (*one).to_owned()).collect();
    match build(&order, &placement, Timestamp(0)) {
        Ok(pod) => serde_json::to_value(pod.spec).expect("a spec"),
        Err(failure) => failure.message.into(),
    }
}

/// The containers that have the token of the account.
fn holders(spec: &Value) -> Vec<&str> {
    let of = |key: &str| spec[key].as_array().into_iter().flatten().collect::<Vec<_>>();
    let all = of("initContainers").into_iter().chain(of("containers"));
    let has = |one: &&Value| {
        let mut mounts = one["volumeMounts"].as_array().into_iter().flatten();
        mounts.any(|mount| mount["name"] == VOLUME)
    };
    all.filter(has).filter_map(|one| one["name"].as_str()).collect()
}

#[test]
fn an_account_that_is_granted_has_its_token_where_the_task_is() {
    let spec = built(&json!({"serviceAccountName": "robot"}), process(), &["robot"]);
    assert_eq!(spec["serviceAccountName"], "robot");
    assert_eq!(spec["automountServiceAccountToken"], false, "what is in the pod is in here");
    assert_eq!(holders(&spec), [MAIN]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&spec["volumes"]).unwrap());
    let quiet = json!({"serviceAccountName": "robot", "automountServiceAccountToken": false});
    let spec = built(&quiet, process(), &["robot"]);
    assert_eq!((&spec["serviceAccountName"], holders(&spec).len()), (&json!("robot"), 0));
    assert!(!spec.to_string().contains(VOLUME));
}

#[test]
fn another_account_is_refused_and_the_projects_own_has_no_token() {
    let admin = built(&json!({"serviceAccountName": "admin"}), process(), &["robot"]);
    let message = "serviceAccountName \"admin\" is not granted: kubernetes.service_accounts of the executor has robot for this project";
    assert_eq!(admin, message);
    let own = placement().service_account;
    for asked in [
        json!({}),
        json!({"serviceAccountName": own}),
        json!({"serviceAccountName": ""}),
        json!({"automountServiceAccountToken": false}),
    ] {
        let spec = built(&asked, process(), &["robot"]);
        assert_eq!(spec["serviceAccountName"], *own, "{asked}");
        assert!(holders(&spec).is_empty() && !spec.to_string().contains(VOLUME), "{asked}");
    }
    let asked = json!({"automountServiceAccountToken": true});
    let said = built(&asked, process(), &["robot"]);
    assert!(
        said.as_str().is_some_and(|said| said.contains("kubernetes.service_accounts")),
        "{said}"
    );
    // It may be granted as any other.
    assert_eq!(holders(&built(&asked, process(), &[&own])), [MAIN]);
    assert!(holders(&built(&json!({}), process(), &[&own])).is_empty());
}

#[test]
fn what_a_document_puts_there_stays() {
    let path = "//var/run/secrets/kubernetes.io/serviceaccount/".to_owned();
    let mount = Mount { volume: "v".to_owned(), path, sub_path: None, read_only: true };
    let process = Process { mounts: vec![mount], ..process() };
    let spec = built(&json!({"serviceAccountName": "robot"}), process, &["robot"]);
    assert!(spec.is_object() && holders(&spec).is_empty(), "{spec}");
}

#[test]
fn all_containers_of_the_user_have_it() {
    let mut order = order(process());
    let named = |name: &str| Process { name: name.to_owned(), ..process() };
    let Work::Run(program) = &mut order.work else { panic!() };
    (program.init, program.sidecars) = (vec![named("before")], vec![named("beside")]);
    order.pod = Some(json!({"serviceAccountName": "robot"}).to_string().into());
    let mut placement = placement();
    placement.grants.service_accounts = vec!["robot".to_owned()];
    let spec = build(&order, &placement, Timestamp(0)).expect("a pod").spec;
    assert_eq!(holders(&serde_json::to_value(spec).unwrap()), ["before", "beside", MAIN]);
}
