//! What the end of a workflow means for the task that started it.

use flowforge_model::attempt::{FailureClass, Report};
use flowforge_model::id::NodeIx;
use flowforge_model::plan::{Body, Child, Output, OutputSource, Template};
use flowforge_model::status::Reason;
use flowforge_model::text::{Reference, Segment, Text, WorkflowField, mark};
use flowforge_model::time::Timestamp;
use serde_json::json;

use super::{World, plan_of};
use crate::{child_order, child_report};

fn caller(success: Option<&str>, failure: Option<&str>) -> Template {
    let tag = Segment::Reference(Reference::Workflow(WorkflowField::Name));
    let manifest = Text::Parts([Segment::Literal("name: ".into()), tag].into());
    let (success, failure) = (success.map(Text::plain), failure.map(Text::plain));
    let child = Child { manifest, success, failure };
    let mut template = Template::new("call", Body::Child(Box::new(child)));
    template.outputs = vec![Output {
        name: "uid".into(),
        source: OutputSource::JsonPath(Text::plain("{.metadata.uid}")),
        default: None,
        global_name: None,
    }];
    template
}

fn ended(good: bool) -> Report {
    let class = FailureClass::User;
    let report = Report::failed(Timestamp(9), class, Reason::ChildFailed, "it failed".to_owned());
    if good { Report { failure: None, ..report } } else { report }
}

#[test]
fn what_a_task_starts_has_its_values_marked() {
    let plan = plan_of(vec![caller(None, None)]);
    let world = World::started(plan.clone());
    let order = child_order(&plan, &world.run, NodeIx::ROOT, Timestamp(1)).unwrap();
    assert_eq!(order.manifest, format!("name: {}", mark(&world.run.context().name)));
    assert!(!order.awaited);
    let plan = plan_of(vec![caller(Some("a"), None)]);
    let world = World::started(plan.clone());
    assert!(child_order(&plan, &world.run, NodeIx::ROOT, Timestamp(1)).unwrap().awaited);
}

#[test]
fn conditions_judge_the_end_of_a_workflow() {
    let good = Some("status.phase == Succeeded");
    let bad = Some("status.phase in (Failed, Error)");
    let rows = [
        // Success, failure, how it ended, how the task ends.
        (good, bad, true, true),
        (good, bad, false, false),
        (good, None, false, false),
        (None, bad, true, true),
        (None, bad, false, false),
        (None, good, true, false),
        (Some("status.phase in (Succeeded, Failed)"), None, false, true),
        (Some("status.message == x"), None, true, false),
        (Some("nonsense ~"), None, true, false),
    ];
    for (success, failure, ends_well, succeeds) in rows {
        let plan = plan_of(vec![caller(success, failure)]);
        let world = World::started(plan.clone());
        let phase = if ends_well { "Succeeded" } else { "Failed" };
        let object = json!({"metadata": {"uid": "7"}, "status": {"phase": phase}});
        let told = (ended(ends_well), &object);
        let report = child_report(&plan, &world.run, NodeIx::ROOT, told);
        assert_eq!(report.failure.is_none(), succeeds, "{success:?} {failure:?} {ends_well}");
        let outputs = [("uid".to_owned(), "7".to_owned())];
        assert_eq!(report.outputs, if succeeds { &outputs[..] } else { &[] });
    }
}

#[test]
fn a_task_whose_workflow_says_nothing_of_an_output_fails() {
    let plan = plan_of(vec![caller(Some("status.phase == Succeeded"), None)]);
    let world = World::started(plan.clone());
    let object = json!({"status": {"phase": "Succeeded"}});
    let report = child_report(&plan, &world.run, NodeIx::ROOT, (ended(true), &object));
    assert_eq!(report.failure.map(|failure| failure.reason), Some(Reason::OutputMissing));
}
