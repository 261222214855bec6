//! What is granted, and what is not.

use serde_json::json;

use super::*;
use crate::pod::tests::{order, placement, process};

/// What is added to a pod, or why nothing is.
fn added(asked: &Value, grants: &Grants) -> Value {
    patched(asked, &[], grants)
}

fn patched(asked: &Value, patches: &[&str], grants: &Grants) -> Value {
    let mut order = order(process());
    order.pod = Some(asked.to_string().into());
    order.pod_patches = patches.iter().map(|patch| (*patch).to_owned()).collect();
    let pulled = LocalObjectReference { name: "ours".to_owned() };
    let mut spec = PodSpec { image_pull_secrets: Some(vec![pulled]), ..PodSpec::default() };
    let placement = Placement { grants: grants.clone(), ..placement() };
    match add(&order, &placement, &mut spec) {
        Ok(()) => serde_json::to_value(&spec).expect("a pod"),
        Err(failure) => failure.message.into(),
    }
}

fn refused(asked: &Value) -> String {
    added(asked, &Grants::default()).as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_a_document_asks_for_is_in_the_pod() {
    let term = json!({ "key": "zone", "operator": "In", "values": ["a"] });
    let asked = json!({
        "nodeSelector": { "disk": "ssd" },
        "tolerations": [{ "key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule" }],
        "affinity": {
            "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [
                { "weight": 3, "preference": { "matchExpressions": [term] } },
            ] },
            "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
                { "topologyKey": "host", "labelSelector": { "matchLabels": { "a": "b" } } },
            ] },
        },
        "schedulerName": "default-scheduler",
        "hostAliases": [{ "ip": "10.0.0.1", "hostnames": ["db"] }],
        "dnsPolicy": "None",
        "dnsConfig": { "nameservers": ["10.0.0.2"] },
    });
    let pod = added(&asked, &Grants::default());
    for (field, value) in asked.as_object().unwrap() {
        assert_eq!(&pod[field], value, "{field}");
    }
    let pod = added(&json!({ "imagePullSecrets": [{ "name": "theirs" }] }), &Grants::default());
    assert_eq!(pod["imagePullSecrets"], json!([{ "name": "ours" }, { "name": "theirs" }]));
}

#[test]
fn what_others_would_feel_has_to_be_granted() {
    let asked = json!({ "priorityClassName": "urgent", "schedulerName": "volcano" });
    let message = "priorityClassName \"urgent\" is not granted: kubernetes.priority_classes of the executor has none for this project";
    assert_eq!(refused(&asked), message);
    let urgent = ["urgent".to_owned(), "later".to_owned()];
    let grants = Grants { priority_classes: urgent.to_vec(), ..Grants::default() };
    let message = "schedulerName \"volcano\" is not granted: kubernetes.schedulers of the executor has none for this project";
    assert_eq!(added(&asked, &grants), message);
    let grants = Grants { schedulers: vec!["volcano".to_owned()], ..grants };
    let pod = added(&asked, &grants);
    assert_eq!(
        (&pod["priorityClassName"], &pod["schedulerName"]),
        (&json!("urgent"), &json!("volcano"))
    );
}

#[test]
fn what_is_granted_to_nobody_here_is_had_by_nobody() {
    let asked = json!({ "tolerations": [{ "key": "team", "operator": "Exists" }] });
    let grants = Grants { tolerations: Some(Vec::new()), ..Grants::default() };
    let said = added(&asked, &grants);
    assert!(
        said.as_str().is_some_and(|said| said.ends_with("has none for this project")),
        "{said}"
    );
}

#[test]
fn pods_of_a_project_go_to_its_nodes() {
    let nodes = [("pool", "acme")].map(|(label, value)| (label.to_owned(), value.to_owned()));
    let grants = Grants { nodes: nodes.into(), ..Grants::default() };
    assert_eq!(patched(&json!({}), &[], &grants)["nodeSelector"], json!({ "pool": "acme" }));
    let asked = json!({ "nodeSelector": { "disk": "ssd", "pool": "acme" } });
    assert_eq!(added(&asked, &grants)["nodeSelector"], asked["nodeSelector"]);
    let message = "nodeSelector pool: \"other\" is not granted: kubernetes.node_selector of the executor has acme for this project";
    for patch in ["nodeSelector: {pool: other}", "nodeSelector: {pool: other, disk: null}"] {
        assert_eq!(patched(&asked, &[patch], &grants), message);
    }
    assert_eq!(patched(&asked, &["nodeSelector: null"], &grants)["nodeSelector"]["pool"], "acme");
}

#[test]
fn a_runtime_is_asked_for_in_a_patch_and_has_to_be_granted() {
    let of = |grants: &Grants| patched(&json!({}), &["runtimeClassName: gvisor"], grants);
    let message = "runtimeClassName \"gvisor\" is not granted: kubernetes.runtime_classes of the executor has none for this project";
    assert_eq!(of(&Grants::default()), message);
    let granted = Grants { runtime_classes: vec!["gvisor".to_owned()], ..Grants::default() };
    assert_eq!(of(&granted)["runtimeClassName"], "gvisor");
}

#[test]
fn a_patch_of_users_is_judged_like_what_it_changes() {
    let asked = json!({ "securityContext": { "runAsUser": 2000, "fsGroup": 3 } });
    let of = |patch: &str| patched(&asked, &[patch], &Grants::default());
    let context = &of("securityContext: {runAsUser: 2001}")["securityContext"];
    assert_eq!((&context["runAsUser"], &context["fsGroup"]), (&json!(2001), &json!(3)));
    assert_eq!(of("securityContext: null")["securityContext"], Value::Null, "ours stays");
    let said = of("securityContext: {runAsUser: 0}");
    assert!(said.as_str().is_some_and(|said| said.contains("runAsUser 0")), "{said}");
    let said = of("serviceAccountName: admin");
    assert!(
        said.as_str().is_some_and(|said| said.contains("kubernetes.service_accounts")),
        "{said}"
    );
}

#[test]
fn taints_are_tolerated_by_name_and_the_clusters_own_are_not() {
    let of = |key: &str| json!({ "tolerations": [{ "key": key, "operator": "Exists" }] });
    let all = json!({ "tolerations": [{ "operator": "Exists" }] });
    assert!(refused(&all).contains("without a key"), "{}", refused(&all));
    for own in ["node-role.kubernetes.io/control-plane", "node.kubernetes.io/unreachable"] {
        assert!(refused(&of(own)).contains("of the cluster's own"), "{own}");
    }
    assert_eq!(refused(&of("team")), "");
    let grants = Grants { tolerations: Some(vec!["gpu".to_owned()]), ..Grants::default() };
    let message = "tolerations \"team\" is not granted: kubernetes.tolerations of the executor has gpu for this project";
    assert_eq!(added(&of("team"), &grants), message);
    assert!(added(&of("gpu"), &grants).is_object());
}

#[test]
fn nothing_else_is_taken() {
    for (field, value) in [
        ("hostNetwork", json!(true)),
        ("nodeName", json!("a")),
        ("hostPID", json!(true)),
        ("hostIPC", json!(true)),
        ("metadata", json!({})),
        ("volumes", json!([])),
    ] {
        let said = refused(&json!({ field: value }));
        assert!(said.contains("unknown field"), "{said}");
    }
    assert!(refused(&json!({ "dnsPolicy": "ClusterFirstWithHostNet" })).contains("is not one of"));
    let far = json!([{ "topologyKey": "host", "namespaces": ["kube-system"] }]);
    for side in ["podAffinity", "podAntiAffinity"] {
        let rule = json!({ side: { "requiredDuringSchedulingIgnoredDuringExecution": far } });
        assert!(refused(&json!({ "affinity": rule })).contains("own namespace"), "{side}");
    }
}

#[test]
fn patches_change_what_is_asked_for_and_are_judged_like_it() {
    let asked = json!({ "nodeSelector": { "disk": "ssd", "zone": "a" }, "dnsPolicy": "Default" });
    let patches = [
        "{\"nodeSelector\": {\"zone\": \"b\"}}",
        "dnsPolicy: null\ntolerations:\n- {key: team, operator: Exists}",
    ];
    let pod = patched(&asked, &patches, &Grants::default());
    assert_eq!(pod["nodeSelector"], json!({ "disk": "ssd", "zone": "b" }));
    assert_eq!((&pod["dnsPolicy"], &pod["tolerations"][0]["key"]), (&Value::Null, &json!("team")));
    for (patch, why) in [
        ("hostNetwork: true", "unknown field `hostNetwork`"),
        (
            "containers: [{name: main, securityContext: {privileged: true}}]",
            "podSpecPatch changes containers, which were not known",
        ),
        ("[]", "is no map"),
        ("tolerations: [{operator: Exists}]", "without a key"),
        ("priorityClassName: system-node-critical", "is not granted"),
        ("a: [", "podSpecPatch"),
    ] {
        let said = patched(&asked, &[patch], &Grants::default());
        assert!(said.as_str().is_some_and(|said| said.contains(why)), "{patch}: {said}");
    }
}
