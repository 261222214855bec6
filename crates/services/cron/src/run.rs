//! The workflow that a schedule starts.

use std::collections::BTreeMap;

use flowforge_model::id::WorkflowId;
use flowforge_model::time::Timestamp;
use flowforge_ports::schedules::ScheduleRow;
use flowforge_ports::store::NewWorkflow;
use flowforge_spec::CronDocument;

/// The name of the schedule.
const SCHEDULE: &str = "flowforge.io/schedule";
/// The fire time; `workflow.scheduledTime` reads it.
const SCHEDULED_AT: &str = "flowforge.io/scheduled-at";
/// What Argo's tools look for.
const CRON_WORKFLOW: &str = "workflows.argoproj.io/cron-workflow";

/// The row of the run with this id that is due at `at`.
pub(crate) fn of(
    row: &ScheduleRow,
    document: &CronDocument,
    (at, id): (Timestamp, WorkflowId),
    now: Timestamp,
) -> NewWorkflow {
    let compiled = &document.compiled;
    let mut labels: BTreeMap<String, String> = compiled.labels.iter().cloned().collect();
    labels.insert(CRON_WORKFLOW.to_owned(), row.name.clone());
    labels.insert(SCHEDULE.to_owned(), row.name.clone());
    labels.insert(SCHEDULED_AT.to_owned(), seconds(at));
    NewWorkflow {
        id,
        project: row.project,
        // As Argo names them.
        name: format!("{}-{}", row.name, at.0.div_euclid(1000)),
        description: compiled.description.clone().unwrap_or_default(),
        document: document.workflow.clone(),
        parameters: Vec::new(),
        labels: labels.into_iter().collect(),
        priority: compiled.priority.unwrap_or(0),
        storage: compiled.plan.storage(),
        submitted_by: format!("schedule {}", row.name),
        resubmitted_from: None,
        at: now,
        // A client's key has no blanks: nobody else can take this one.
        idempotency: Some((format!("schedule {} {}", row.id, seconds(at)), String::new())),
        parent: None,
    }
}

/// RFC 3339 to the second, as Argo writes it.
fn seconds(at: Timestamp) -> String {
    at.rfc3339().replace(".000Z", "Z")
}
