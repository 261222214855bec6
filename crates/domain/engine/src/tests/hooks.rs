//! Stories of hooks.

use flowforge_model::plan::Hook;

use super::*;

fn exit() -> Hook {
    Hook { name: "exit".into(), call: Call::of(LEAF), expression: None, wide: false }
}

fn hook(name: &str, expression: &str) -> Hook {
    let expression = Some(expression.into());
    Hook { name: name.into(), call: Call::of(LEAF), expression, wide: false }
}

/// `a; b <- a`, with these hooks on `a`.
fn hooked(hooks: Vec<Hook>) -> Plan {
    let mut dag = graph("a; b <- a");
    dag.tasks[0].hooks = hooks;
    plan_of(vec![Template::new("main", Body::Dag(dag))])
}

#[test]
fn successors_wait_for_the_exit_hook_even_if_it_fails() {
    let mut world = World::started(hooked(vec![exit()]));
    world.run_out(|name| i32::from(name == "a.onExit"));
    insta::assert_snapshot!(world.told(), @r"
    workflow RUNNING
    . RUNNING
    a QUEUED
    a RUNNING
    a SUCCEEDED
    a.onExit QUEUED
    a.onExit RUNNING
    a.onExit FAILED exit_code
    b QUEUED
    b RUNNING
    b SUCCEEDED
    . SUCCEEDED
    workflow SUCCEEDED
    ");
}

#[test]
fn an_exit_hook_runs_after_a_failure_and_not_after_a_skip() {
    let mut plan = hooked(vec![exit()]);
    let Body::Dag(dag) = &mut plan.templates[1].body else { panic!() };
    dag.tasks[1].hooks = vec![exit()];
    let mut world = World::started(plan);
    world.run_out(|name| i32::from(name == "a"));
    insta::assert_snapshot!(world.told(), @r"
    workflow RUNNING
    . RUNNING
    a QUEUED
    a RUNNING
    a FAILED exit_code
    a.onExit QUEUED
    a.onExit RUNNING
    a.onExit SUCCEEDED
    b SKIPPED omitted
    . FAILED children
    workflow FAILED children
    ");
}

#[test]
fn a_hook_runs_once_when_its_expression_becomes_true() {
    let running = hook("running", "tasks.a.status == 'Running'");
    let never = hook("never", "tasks.a.status == 'Failed'");
    let mut plan = hooked(vec![running, never]);
    plan.templates[0].retry = Some(retry(1));
    let mut world = World::started(plan);
    let a = world.node("a");
    world.end_attempt(a, 1).unwrap();
    world.end_attempt(a, 0).unwrap();
    assert_eq!(world.status("b"), TaskStatus::Pending, "it waits for the hook");
    world.exit("a.hooks.running", 0);
    world.exit("b", 0);
    insta::assert_snapshot!(world.told(), @r"
    workflow RUNNING
    . RUNNING
    a QUEUED
    a RUNNING
    a.hooks.running QUEUED
    a QUEUED exit_code
    a RUNNING
    a SUCCEEDED
    a.hooks.running RUNNING
    a.hooks.running SUCCEEDED
    b QUEUED
    b RUNNING
    b SUCCEEDED
    . SUCCEEDED
    workflow SUCCEEDED
    ");
}

#[test]
fn each_item_of_a_loop_has_its_own_hooks() {
    let mut dag = graph("a");
    let each = Task { hooks: vec![exit()], ..dag.tasks.remove(0) };
    dag.tasks.push(repeated(each, 2));
    let mut world = World::started(plan_of(vec![Template::new("main", Body::Dag(dag))]));
    world.run_out(|_| 0);
    assert_eq!(world.status("a(0:0).onExit"), TaskStatus::Succeeded);
    assert_eq!(world.status("a(1:1).onExit"), TaskStatus::Succeeded);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn an_expression_that_never_had_a_value_is_seen_and_fails_nothing() {
    let mut world = World::started(hooked(vec![hook("odd", "asInt(tasks.a.status) > 1")]));
    world.run_out(|_| 0);
    assert_eq!(world.status("a.hooks.odd"), TaskStatus::Failed);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn hooks_of_the_workflow_come_before_its_exit_handler() {
    let mut plan = plan("a");
    plan.hooks = vec![
        hook("begun", "workflow.status == 'Running'"),
        hook("bad", "workflow.status == 'Failed'"),
    ];
    plan.on_exit = Some(Call::of(LEAF));
    let mut world = World::started(plan);
    world.exit("hooks.begun", 0);
    world.exit("a", 1);
    world.exit("hooks.bad", 1);
    world.exit("onExit", 0);
    insta::assert_snapshot!(world.told(), @r"
    workflow RUNNING
    . RUNNING
    a QUEUED
    hooks.begun QUEUED
    hooks.begun RUNNING
    hooks.begun SUCCEEDED
    a RUNNING
    a FAILED exit_code
    . FAILED children
    hooks.bad QUEUED
    hooks.bad RUNNING
    hooks.bad FAILED exit_code
    onExit QUEUED
    onExit RUNNING
    onExit SUCCEEDED
    workflow FAILED children
    ");
}

#[test]
fn a_retry_by_a_user_runs_the_hooks_again() {
    let mut world = World::started(hooked(vec![exit()]));
    world.run_out(|name| i32::from(name == "a"));
    world.ask(Command::Retry).unwrap();
    world.exit("a", 0);
    world.exit("a.onExit-2", 0);
    world.exit("b", 0);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn a_cancel_ends_hooks_and_begins_none() {
    let mut world = World::started(hooked(vec![exit(), hook("up", "tasks.a.status == 'Running'")]));
    let a = world.node("a");
    let (number, at) = (world.live[&a], world.now);
    world.feed(&Event::Started { node: a, number, at }).unwrap();
    world.ask(Command::Cancel).unwrap();
    world.run_out(|_| 0);
    assert_eq!(world.status("a.hooks.up"), TaskStatus::Cancelled);
    assert_eq!(world.workflow(), WorkflowStatus::Cancelled);
}

/// Argo runs the exit hooks of what a stop or a deadline ended, and only those of what had begun.
#[test]
fn exit_hooks_run_after_a_stop_and_not_after_a_terminate() {
    for (command, hooks) in [(Command::Stop, 2), (Command::Terminate, 0)] {
        let mut dag = graph("a; b; c <- a");
        for task in &mut dag.tasks {
            task.hooks = vec![exit()];
        }
        let mut world = World::started(plan_of(vec![Template::new("main", Body::Dag(dag))]));
        world.ask(command).unwrap();
        world.run_out(|_| 0);
        let told = world.told();
        assert_eq!(told.matches("onExit SUCCEEDED").count(), hooks, "{told}");
        assert_eq!(told.matches("c.onExit").count(), 0, "{told}");
        assert_eq!(world.run.state().status, WorkflowStatus::Failed);
    }
}

#[test]
fn an_exit_hook_that_runs_outlives_a_stop_with_all_its_steps() {
    let mut dag = graph("a; b <- a");
    let mut hook = exit();
    hook.call = Call::of(TemplateIx(1));
    dag.tasks[0].hooks = vec![hook];
    let steps = steps_of(vec![vec![task("one", LEAF, vec![])], vec![task("two", LEAF, vec![])]]);
    let templates =
        vec![Template::new("last", Body::Steps(steps)), Template::new("main", Body::Dag(dag))];
    let mut world = World::started(plan_of(templates));
    world.exit("a", 0);
    world.ask(Command::Stop).unwrap();
    world.run_out(|_| 0);
    assert_eq!(world.status("a.onExit.two"), TaskStatus::Succeeded);
    assert_eq!(world.status("b"), TaskStatus::Cancelled);
}

#[test]
fn a_second_stop_leaves_the_gate_open_for_an_exit_hook() {
    let mut world = World::started(hooked(vec![exit()]));
    world.exit("a", 0);
    for _ in 0..2 {
        // Asking for a stop closes the gate before the engine hears of it.
        world.gate_closed = true;
        world.ask(Command::Stop).unwrap();
        assert!(!world.gate_closed);
    }
    world.run_out(|_| 0);
    assert_eq!(world.status("a.onExit"), TaskStatus::Succeeded);
    assert_eq!(world.workflow(), WorkflowStatus::Failed);
}

/// Argo looks at the conditions of hooks at every change, not only at those of their own task.
#[test]
fn a_hook_may_look_at_another_task() {
    let mut dag = graph("a; b; c <- a");
    let of_b = Hook { wide: true, ..hook("seen", "tasks.b.status == 'Failed'") };
    dag.tasks[0].hooks = vec![of_b];
    let mut world = World::started(plan_of(vec![Template::new("main", Body::Dag(dag))]));
    world.exit("b", 1);
    assert_eq!(world.status("a.hooks.seen"), TaskStatus::Queued);
    world.exit("a", 0);
    assert_eq!(world.status("c"), TaskStatus::Pending, "it waits for the hook");
    world.exit("a.hooks.seen", 0);
    world.exit("c", 0);
    assert_eq!(world.status("c"), TaskStatus::Succeeded);
}
