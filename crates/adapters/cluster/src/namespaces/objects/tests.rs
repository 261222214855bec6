use std::fmt::Write as _;

use uuid::Uuid;

use super::*;
use crate::pod::tests::placement;
use crate::{Bounds, Endpoints, Grants, Pull, Security};

#[test]
fn what_is_in_a_namespace() {
    let id = EntityId(Uuid::from_u128(9));
    let project = Project {
        tenant: EntityId(Uuid::from_u128(7)),
        names: ("acme".to_owned(), "etl".to_owned()),
        security: Security::Baseline,
        grants: Grants::default(),
        pull_secrets: Vec::new(),
        redis: false,
        limits: Limits { cpu: Some(1001), memory: Some(100), gpu: None, pods: Some(10) },
    };
    let config = ClusterConfig {
        name: "east".to_owned(),
        sdk: placement().sdk,
        endpoints: Endpoints::default(),
        pull: Pull::ByTag,
        entrypoints: Vec::new(),
        grace: placement().grace,
        bounds: Bounds::default(),
        requests_per_second: 1,
        burst: 1,
        forbidden: vec!["10.1.0.0/16".to_owned(), "fd01::/16".to_owned()],
    };
    let objects = [
        serde_json::to_value(namespace(id, &project, &config)),
        serde_json::to_value(service_account(id)),
        serde_json::to_value(resource_quota(id, &project)),
        serde_json::to_value(limit_range(id)),
        serde_json::to_value(network_policy(id, &config)),
    ];
    let mut text = String::new();
    for object in objects {
        writeln!(text, "{:#}", object.expect("text")).expect("text");
    }
    insta::assert_snapshot!(text);
}
