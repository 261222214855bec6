//! Stories of what a failure stops, and of what a dag is asked for.

use super::*;

#[test]
fn a_dag_that_fails_fast_begins_nothing_more() {
    let mut dag = graph("bad; slow; next <- slow");
    dag.fail_fast = true;
    let mut world = World::started(plan_of(vec![Template::new("main", Body::Dag(dag))]));
    world.exit("bad", 1);
    world.exit("slow", 0);
    insta::assert_snapshot!(world.told(), @r"
    workflow RUNNING
    . RUNNING
    bad QUEUED
    slow QUEUED
    bad RUNNING
    bad FAILED exit_code
    slow RUNNING
    slow SUCCEEDED
    next SKIPPED fail_fast
    . FAILED children
    workflow FAILED children
    ");
}

#[test]
fn a_failure_that_is_handled_stops_nothing() {
    let mut dag = graph("bad; rescue <- bad!; slow; next <- slow");
    dag.fail_fast = true;
    let mut world = World::started(plan_of(vec![Template::new("main", Body::Dag(dag))]));
    world.run_out(|name| i32::from(name == "bad"));
    assert_eq!(world.status("next"), TaskStatus::Succeeded);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn a_template_that_fails_fast_drops_what_parallelism_holds_back() {
    for forgiven in [false, true] {
        let mut each = repeated(task("each", LEAF, Vec::new()), 3);
        each.continue_on.failed = forgiven;
        let mut main = Template::new("main", Body::Steps(steps_of(vec![vec![each]])));
        (main.parallelism, main.fail_fast) = (Some(1), true);
        let mut world = World::started(plan_of(vec![main]));
        world.exit("each(0:0)", 1);
        world.run_out(|_| 0);
        let rest = if forgiven { TaskStatus::Succeeded } else { TaskStatus::Skipped };
        assert_eq!((world.status("each(1:1)"), world.status("each(2:2)")), (rest, rest));
    }
}

#[test]
fn a_dag_with_a_target_runs_what_the_target_needs() {
    let mut dag = graph("a; b <- a; c <- b; other");
    dag.targets = vec![1];
    let mut world = World::started(plan_of(vec![Template::new("main", Body::Dag(dag))]));
    world.run_out(|name| i32::from(name == "b"));
    assert_eq!(world.workflow(), WorkflowStatus::Failed);
    world.ask(Command::Retry).unwrap();
    world.run_out(|_| 0);
    let status = |name| world.status(name);
    assert_eq!((status("c"), status("other")), (TaskStatus::Skipped, TaskStatus::Skipped));
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}
