//! What a document may change about who runs in its pod.

use serde_json::{Value, json};

use super::*;
use crate::pod::tests::process;

const BOTH: [Security; 2] = [Security::Restricted, Security::Baseline];

/// The context of a pod, or why there is none.
fn whole(of: Value, security: Security) -> Value {
    let context = match serde_json::from_value::<Asked>(of) {
        Ok(of) => asked(of, security).map_err(|failure| failure.message),
        Err(error) => Err(error.to_string()),
    };
    context.map_or_else(Value::from, |context| serde_json::to_value(context).expect("a context"))
}

fn one(of: ContainerSecurity, security: Security) -> Value {
    let process = Process { security: Some(Box::new(of)), ..process() };
    let context = users(&process, security).map_err(|failure| failure.message);
    context.map_or_else(Value::from, |context| serde_json::to_value(context).expect("a context"))
}

#[test]
fn what_is_not_said_stays_as_it_is() {
    let ours = serde_json::to_value(pod(Security::Restricted)).unwrap();
    assert_eq!(whole(json!({}), Security::Restricted), ours);
    let mut other = ours;
    (other["runAsUser"], other["supplementalGroups"]) = (json!(2000), json!([5]));
    let asked = json!({"runAsUser": 2000, "supplementalGroups": [5], "seccompProfile": {"type": "RuntimeDefault"}});
    assert_eq!(whole(asked, Security::Restricted), other);
    let asked = json!({"fsGroup": 7, "runAsUser": 0, "runAsNonRoot": false, "fsGroupChangePolicy": "Always"});
    let root = json!({"fsGroup": 7, "runAsUser": 0, "runAsNonRoot": false, "fsGroupChangePolicy": "Always",
        "seccompProfile": {"type": "RuntimeDefault"}});
    assert_eq!(whole(asked, Security::Baseline), root);
}

#[test]
fn a_pod_gets_what_its_standard_leaves() {
    for (asked, why) in [
        (json!({"runAsUser": 0}), "runAsUser 0: pods of this project run as ordinary users"),
        (json!({"runAsNonRoot": false}), "kubernetes.baseline_projects"),
    ] {
        let said = whole(asked.clone(), Security::Restricted);
        assert!(said.as_str().is_some_and(|said| said.contains(why)), "{said}");
        assert!(whole(asked, Security::Baseline).is_object());
    }
    for (asked, why) in [
        (json!({"runAsUser": -1}), "runAsUser: an id is a whole number"),
        (json!({"fsGroup": 1_u64 << 31}), "fsGroup: an id is a whole number"),
        (json!({"supplementalGroups": [1, -1]}), "supplementalGroups: an id is a whole number"),
        (json!({"runAsGroup": "1"}), "invalid type"),
        (json!({"fsGroupChangePolicy": "Never"}), "it is Always or OnRootMismatch"),
        (json!({"seccompProfile": {"type": "Unconfined"}}), "RuntimeDefault and no other"),
        (
            json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "x"}}),
            "unknown field `localhostProfile`",
        ),
        (json!({"sysctls": []}), "unknown field `sysctls`"),
        (json!({"seLinuxOptions": {}}), "unknown field `seLinuxOptions`"),
        (json!({"windowsOptions": {}}), "unknown field `windowsOptions`"),
        (json!({"appArmorProfile": {}}), "unknown field `appArmorProfile`"),
        (json!({"supplementalGroupsPolicy": "Strict"}), "unknown field `supplementalGroupsPolicy`"),
    ] {
        for security in BOTH {
            let said = whole(asked.clone(), security);
            assert!(said.as_str().is_some_and(|said| said.contains(why)), "{asked}: {said}");
        }
    }
}

#[test]
fn a_container_gets_what_its_standard_leaves() {
    let asked = || ContainerSecurity::default();
    let add = |name: &str| ContainerSecurity { add: vec![name.to_owned()], ..asked() };
    let root = ContainerSecurity { user: Some(0), ..asked() };
    let maybe = ContainerSecurity { non_root: Some(false), ..asked() };
    let more = ContainerSecurity { escalation: Some(true), ..asked() };
    for (asked, what) in [
        (root, "runAsUser 0"),
        (maybe, "runAsNonRoot false"),
        (more, "allowPrivilegeEscalation"),
        (add("CHOWN"), "may add NET_BIND_SERVICE"),
    ] {
        let said = one(asked.clone(), Security::Restricted);
        let named = "securityContext of the container main";
        assert!(
            said.as_str().is_some_and(|said| said.starts_with(named) && said.contains(what)),
            "{said}"
        );
        assert!(one(asked, Security::Baseline).is_object());
    }
    for security in BOTH {
        for name in ["SYS_ADMIN", "ALL", "NET_RAW", "CAP_CHOWN", "chown"] {
            assert!(one(add(name), security).is_string(), "{name}");
        }
        assert!(one(ContainerSecurity { group: Some(-1), ..asked() }, security).is_string());
    }
    let some = ContainerSecurity {
        user: Some(1000),
        read_only_root: Some(true),
        drop: vec!["NET_RAW".to_owned()],
        ..add("NET_BIND_SERVICE")
    };
    let context = json!({"runAsUser": 1000, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
        "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}});
    assert_eq!(one(some.clone(), Security::Restricted), context);
    let context = json!({"runAsUser": 1000, "readOnlyRootFilesystem": true,
        "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["NET_RAW"]}});
    assert_eq!(one(some, Security::Baseline), context);
    let restricted = serde_json::to_value(container(Security::Restricted)).unwrap();
    assert_eq!(one(asked(), Security::Restricted), restricted);
}

#[test]
fn who_fetches_inputs_is_who_gets_them_with_no_more_rights() {
    let add = vec!["NET_BIND_SERVICE".to_owned()];
    let asked = ContainerSecurity {
        user: Some(5),
        read_only_root: Some(true),
        add,
        ..ContainerSecurity::default()
    };
    let process = Process { security: Some(Box::new(asked)), ..process() };
    let seen = BOTH.map(|security| serde_json::to_value(fetching(&process, security)).unwrap());
    let restricted = json!({"runAsUser": 5, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    assert_eq!(seen, [restricted, json!({"runAsUser": 5, "runAsNonRoot": false})]);
}
