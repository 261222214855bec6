//! Stories of the retries of a whole workflow.

use super::*;

fn tried(text: &str, most: Option<u32>) -> Plan {
    let mut plan = plan(text);
    plan.templates[0].retry = Some(retry(5));
    plan.max_retries = most;
    plan
}

#[test]
fn a_workflow_makes_no_more_retries_than_it_may() {
    let mut world = World::started(tried("a; b", Some(3)));
    for _ in 0..2 {
        world.exit("a", 1);
        world.exit("b", 1);
        if world.live.len() == 1 {
            break;
        }
    }
    // Three retries are made, of a, b and a; the fourth would be b's.
    assert_eq!((world.status("a"), world.status("b")), (TaskStatus::Queued, TaskStatus::Failed));
    let b = world.node("b");
    assert_eq!(world.run.node(b).unwrap().reason, Some(Reason::RetriesSpent));
    insta::assert_snapshot!(world.message(b).unwrap(), @"exit code 1 (not tried again: the workflow has made all 3 retries that its maxRetries allows)");
    world.exit("a", 0);
    assert_eq!(world.workflow(), WorkflowStatus::Failed);
    assert_eq!(world.offered.len(), 2 + 3, "first attempts and retries");
}

#[test]
fn a_workflow_that_says_nothing_may_make_many() {
    let mut world = World::started(tried("a; b; c", None));
    world.run_out(|_| 1);
    assert_eq!(world.offered.len(), 3 * 6);
    assert_eq!(world.status("c"), TaskStatus::Failed);
    let c = world.node("c");
    assert_eq!(world.run.node(c).unwrap().reason, Some(Reason::ExitCode));
}

#[test]
fn attempts_that_were_lost_are_no_retries() {
    let mut world = World::started(tried("a", Some(0)));
    let a = world.node("a");
    for _ in 0..3 {
        world.class(a, FailureClass::Lost, Reason::Lost).unwrap();
    }
    assert_eq!(world.status("a"), TaskStatus::Queued);
    world.exit("a", 1);
    assert_eq!(world.run.node(a).unwrap().reason, Some(Reason::RetriesSpent));
}

#[test]
fn what_is_an_error_stays_one_when_the_retries_are_spent() {
    let mut world = World::started(tried("a; told <- a?", Some(0)));
    let a = world.node("a");
    world.class(a, FailureClass::Error, Reason::SpawnFailed).unwrap();
    assert_eq!(world.run.node(a).unwrap().reason, Some(Reason::SpawnFailed));
    assert!(world.run.node(a).unwrap().errored());
    assert!(world.message(a).unwrap().contains("maxRetries"), "{:?}", world.message(a));
}

#[test]
fn a_failure_that_ends_a_task_leaves_its_retries_to_others() {
    let mut plan = tried("a; b", Some(2));
    plan.templates[0].retry = Some(retry(1));
    let mut world = World::started(plan);
    world.run_out(|_| 1);
    assert_eq!(world.offered.len(), 4, "each has its one retry");
}

#[test]
fn tries_of_a_group_count_with_those_inside_it() {
    let mut group = Template::new("group", Body::Dag(graph("x")));
    group.retry = Some(retry(9));
    let mut plan = plan_of(vec![group]);
    plan.templates[0].retry = Some(retry(1));
    plan.max_retries = Some(2);
    let mut world = World::started(plan);
    world.run_out(|_| 1);
    // x, again; the group again; x, and neither may have another.
    assert_eq!(world.offered.len(), 3);
    assert_eq!(world.run.node(NodeIx::ROOT).unwrap().reason, Some(Reason::RetriesSpent));
}

#[test]
fn what_a_user_retries_begins_to_count_anew() {
    let mut world = World::started(tried("a", Some(1)));
    world.run_out(|_| 1);
    assert_eq!(world.offered.len(), 2);
    world.ask(Command::Retry).unwrap();
    world.run_out(|_| 1);
    assert_eq!(world.offered.len(), 4);
}
