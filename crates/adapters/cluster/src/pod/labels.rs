//! What a pod is found by, and what people read about it.

use std::collections::BTreeMap;

use flowforge_model::attempt::WorkOrder;
use flowforge_model::time::Timestamp;

use crate::labels::{
    ATTEMPT, ATTEMPT_KEY, CLUSTER, MANAGED_BY, MEMBER, PRODUCT, PROJECT, TENANT, WORKFLOW,
};
use crate::placement::Placement;

/// Characters of a label's value.
const VALUE: usize = 63;

pub(super) fn labels(order: &WorkOrder, placement: &Placement) -> BTreeMap<String, String> {
    let member = placement.member.map(|index| (MEMBER, index.to_string()));
    let all = [
        (MANAGED_BY, PRODUCT.to_owned()),
        (CLUSTER, placement.cluster.clone()),
        (ATTEMPT, order.attempt.to_string()),
        (WORKFLOW, order.key.workflow.to_string()),
        ("flowforge.io/task-id", order.task.to_string()),
        ("flowforge.io/task-name", value(&order.task_name)),
        (TENANT, placement.tenant.to_string()),
        (PROJECT, order.project.to_string()),
        ("flowforge.io/workload", "task".to_owned()),
    ];
    all.into_iter().chain(member).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Names go here whole: a label takes few characters and fewer kinds of them.
pub(super) fn annotations(order: &WorkOrder, now: Timestamp) -> BTreeMap<String, String> {
    let first = |text: &str| text.chars().take(1024).collect::<String>();
    [
        ("flowforge.io/created-at", now.rfc3339()),
        (ATTEMPT_KEY, order.key.to_string()),
        ("flowforge.io/task-name", first(&order.task_name)),
        ("flowforge.io/workflow-name", first(&order.workflow_name)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// A text as a label's value: what it may not hold becomes a hyphen, what is too long is cut. For people;
/// nothing is found by it.
fn value(text: &str) -> String {
    let fine = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let value: String = text.chars().map(fine).take(VALUE).collect();
    value.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}
