use flowforge_model::plan::Condition;
use flowforge_model::plan::Outcome;
use flowforge_model::time::Millis;

use super::*;

#[test]
fn a_diamond_runs_in_order_and_succeeds() {
    let mut world = World::started(plan("a; b <- a; c <- a; d <- b c"));
    world.run_out(|_| 0);
    insta::assert_snapshot!(world.told(), @r"
    workflow RUNNING
    . RUNNING
    a QUEUED
    a RUNNING
    a SUCCEEDED
    b QUEUED
    c QUEUED
    b RUNNING
    b SUCCEEDED
    c RUNNING
    c SUCCEEDED
    d QUEUED
    d RUNNING
    d SUCCEEDED
    . SUCCEEDED
    workflow SUCCEEDED
    ");
}

#[test]
fn a_failure_skips_what_needs_it_and_runs_what_is_there_for_it() {
    let mut world = World::started(plan("a; b <- a; c <- b; rescue <- a!; always <- a?; other"));
    world.run_out(|name| i32::from(name == "a"));
    insta::assert_snapshot!(world.told(), @r"
    workflow RUNNING
    . RUNNING
    a QUEUED
    other QUEUED
    a RUNNING
    a FAILED exit_code
    b SKIPPED omitted
    c SKIPPED omitted
    rescue QUEUED
    always QUEUED
    rescue RUNNING
    rescue SUCCEEDED
    always RUNNING
    always SUCCEEDED
    other RUNNING
    other SUCCEEDED
    . FAILED children
    workflow FAILED children
    ");
}

#[test]
fn a_handled_failure_does_not_fail_the_workflow() {
    let mut world = World::started(plan("a; rescue <- a!"));
    world.run_out(|name| i32::from(name == "a"));
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn a_long_chain_of_skipped_tasks_takes_no_stack() {
    let mut text = "t0".to_owned();
    for n in 1..20_000 {
        text.push_str(&format!("; t{n} <- t{}", n - 1));
    }
    // `graph` looks names up one by one: build this one by hand.
    let tasks = (0..20_000_u32).map(|n| {
        let needs = n.checked_sub(1).map(|slot| Dependency { slot, kind: DependencyKind::Success });
        task(&format!("t{n}"), LEAF, needs.into_iter().collect())
    });
    let plan = plan_of(vec![Template::new("main", Body::Dag(dag_of(tasks.collect())))]);
    let context = World::new(plan.clone()).run.context().clone();
    let mut run = Run::new(context);
    step(&plan, &mut run, &Event::Submitted, Timestamp(1)).unwrap();
    let report =
        Report::failed(Timestamp(2), FailureClass::User, Reason::ExitCode, "no".to_owned());
    let event = Event::Finished { node: NodeIx(1), number: 1, report: Box::new(report) };
    step(&plan, &mut run, &event, Timestamp(2)).unwrap();
    assert_eq!(run.state().status, WorkflowStatus::Failed);
    assert_eq!(run.status(NodeIx(20_000)), Some(TaskStatus::Skipped));
}

#[test]
fn a_task_is_tried_again_up_to_its_limit() {
    let mut plan = plan("a");
    plan.templates[0].retry = Some(retry(2));
    let mut world = World::started(plan);
    world.run_out(|_| 3);
    insta::assert_snapshot!(world.told(), @r"
    workflow RUNNING
    . RUNNING
    a QUEUED
    a RUNNING
    a QUEUED exit_code
    a RUNNING
    a QUEUED exit_code
    a RUNNING
    a FAILED exit_code
    . FAILED children
    workflow FAILED children
    ");
    assert_eq!(world.run.attempt(world.node("a")), 3);
    assert_eq!(
        world.run.state().message.as_deref(),
        Some("task a failed: exit code 3 (no more retries left)")
    );
}

#[test]
fn a_backoff_waits_and_a_lost_attempt_does_not_count() {
    let mut plan = plan("a");
    let backoff = flowforge_model::plan::Backoff {
        duration: Millis(1000),
        factor_milli: 2000,
        cap: None,
        max_duration: None,
    };
    plan.templates[0].retry = Some(RetryStrategy { backoff: Some(backoff), ..retry(1) });
    let mut world = World::started(plan);
    let a = world.node("a");
    for _ in 0..5 {
        world.class(a, FailureClass::Lost, Reason::Lost).unwrap();
    }
    world.exit("a", 1);
    assert_eq!(world.status("a"), TaskStatus::Retrying);
    let before = world.now;
    world.timer().unwrap();
    assert!((1000..=1100).contains(&world.now.since(before).0), "{:?}", world.now.since(before));
    world.exit("a", 1);
    assert_eq!(world.status("a"), TaskStatus::Failed);
    assert_eq!(world.run.attempt(a), 7);
}

#[test]
fn an_attempt_lost_too_often_fails_after_all() {
    let mut world = World::started(plan("a"));
    let a = world.node("a");
    for _ in 0..flowforge_model::limits::INFRASTRUCTURE_RETRIES {
        world.class(a, FailureClass::Lost, Reason::Lost).unwrap();
    }
    assert_eq!(world.status("a"), TaskStatus::Queued);
    world.class(a, FailureClass::Lost, Reason::Lost).unwrap();
    assert_eq!(world.workflow(), WorkflowStatus::Failed);
}

#[test]
fn steps_run_group_by_group_and_stop_at_a_failure() {
    let call = |name: &str| task(name, LEAF, Vec::new());
    let steps = steps_of(vec![vec![call("a"), call("b")], vec![call("c")], vec![call("d")]]);
    let mut world = World::started(plan_of(vec![Template::new("main", Body::Steps(steps))]));
    world.run_out(|name| i32::from(name == "c"));
    insta::assert_snapshot!(world.told(), @r"
    workflow RUNNING
    . RUNNING
    a QUEUED
    b QUEUED
    a RUNNING
    a SUCCEEDED
    b RUNNING
    b SUCCEEDED
    c QUEUED
    c RUNNING
    c FAILED exit_code
    . FAILED children
    d SKIPPED omitted
    workflow FAILED children
    ");
}

#[test]
fn a_loop_runs_once_per_item_and_fails_with_any() {
    let mut dag = graph("a; b <- a; c <- b");
    dag.tasks[1] = repeated(dag.tasks[1].clone(), 3);
    let mut world = World::started(plan_of(vec![Template::new("main", Body::Dag(dag))]));
    world.run_out(|name| i32::from(name == "b(1:1)"));
    insta::assert_snapshot!(world.told(), @r"
    workflow RUNNING
    . RUNNING
    a QUEUED
    a RUNNING
    a SUCCEEDED
    b RUNNING
    b(0:0) QUEUED
    b(1:1) QUEUED
    b(2:2) QUEUED
    b(0:0) RUNNING
    b(0:0) SUCCEEDED
    b(1:1) RUNNING
    b(1:1) FAILED exit_code
    b(2:2) RUNNING
    b(2:2) SUCCEEDED
    b FAILED children
    c SKIPPED omitted
    . FAILED children
    workflow FAILED children
    ");
}

#[test]
fn an_empty_loop_succeeds() {
    let mut dag = graph("a; b <- a");
    dag.tasks[0] = repeated(dag.tasks[0].clone(), 0);
    let mut world = World::started(plan_of(vec![Template::new("main", Body::Dag(dag))]));
    world.run_out(|_| 0);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn the_tries_of_a_group_are_nodes_of_their_own() {
    let mut inner = Template::new("inner", Body::Dag(graph("x; y <- x")));
    inner.retry = Some(retry(1));
    let main = dag_of(vec![task("g", TemplateIx(1), Vec::new())]);
    let mut world = World::started(plan_of(vec![inner, Template::new("main", Body::Dag(main))]));
    world.run_out(|name| i32::from(name == "g(0).y"));
    insta::assert_snapshot!(world.told(), @r"
    workflow RUNNING
    . RUNNING
    g RUNNING
    g(0) RUNNING
    g(0).x QUEUED
    g(0).x RUNNING
    g(0).x SUCCEEDED
    g(0).y QUEUED
    g(0).y RUNNING
    g(0).y FAILED exit_code
    g(0) FAILED children
    g RUNNING children
    g(1) RUNNING
    g(1).x QUEUED
    g(1).x RUNNING
    g(1).x SUCCEEDED
    g(1).y QUEUED
    g(1).y RUNNING
    g(1).y SUCCEEDED
    g(1) SUCCEEDED
    g SUCCEEDED
    . SUCCEEDED
    workflow SUCCEEDED
    ");
}

#[test]
fn parallelism_holds_children_back() {
    let mut main = Template::new("main", Body::Dag(graph("a; b; c; d <- a b c")));
    main.parallelism = Some(2);
    let mut world = World::started(plan_of(vec![main]));
    let mut most = 0;
    while let Some(&node) = world.live.keys().next() {
        most = most.max(world.live.len());
        world.end_attempt(node, 0).unwrap();
    }
    assert_eq!((most, world.workflow()), (2, WorkflowStatus::Succeeded));
}

#[test]
fn depends_is_decided_when_all_it_names_has_ended() {
    let mut dag = graph("a; b; c");
    let condition = Condition::Or(
        Box::new(Condition::Is(0, Outcome::Failed)),
        Box::new(Condition::Not(Box::new(Condition::Bare(1)))),
    );
    dag.tasks[2].needs =
        Needs::Depends { slots: vec![0, 1].into(), condition: Box::new(condition) };
    let dag = dag_of(dag.tasks);
    let mut world = World::started(plan_of(vec![Template::new("main", Body::Dag(dag))]));
    world.exit("a", 1);
    assert_eq!(world.status("c"), TaskStatus::Pending);
    world.exit("b", 0);
    assert_eq!(world.status("c"), TaskStatus::Queued);
}

#[test]
fn a_suspension_says_which_values_it_needs() {
    let mut ask = Template::new("ask", Body::Suspend(None));
    let output = |name: &str| Output {
        name: name.into(),
        source: OutputSource::Supplied,
        default: None,
        global_name: None,
    };
    ask.outputs = vec![output("answer"), output("why")];
    let mut world = World::started(plan_of(vec![ask]));
    assert_eq!(world.message(NodeIx::ROOT), Some("needs a value for answer, why"));
    let outputs = vec![("answer".to_owned(), "42".to_owned())];
    world.ask(Command::Resume { task: None, outputs }).unwrap();
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn cancel_stops_what_runs_and_ends_cancelled() {
    let mut plan = plan("a; b <- a");
    plan.on_exit = Some(Call::of(LEAF));
    let mut world = World::started(plan);
    world.ask(Command::Cancel).unwrap();
    assert_eq!(world.status("b"), TaskStatus::Cancelled);
    assert_eq!(world.workflow(), WorkflowStatus::Running);
    world.run_out(|_| 0);
    insta::assert_snapshot!(world.told(), @r"
    workflow RUNNING
    . RUNNING
    a QUEUED
    workflow RUNNING
    b CANCELLED cancelled
    a CANCELLED cancelled
    . CANCELLED cancelled
    workflow CANCELLED cancelled
    ");
}

#[test]
fn stop_still_runs_the_exit_handler_and_terminate_does_not() {
    let mut plan = plan("a; b <- a");
    plan.on_exit = Some(Call::of(LEAF));
    let mut world = World::started(plan.clone());
    world.gate_closed = true;
    world.ask(Command::Stop).unwrap();
    world.run_out(|_| 0);
    assert!(!world.gate_closed, "the handler may be admitted");
    insta::assert_snapshot!(world.told(), @r"
    workflow RUNNING
    . RUNNING
    a QUEUED
    workflow RUNNING
    b CANCELLED stopped
    a CANCELLED stopped
    . CANCELLED stopped
    onExit QUEUED
    onExit RUNNING
    onExit SUCCEEDED
    workflow FAILED stopped
    ");
    let mut world = World::started(plan);
    world.ask(Command::Terminate).unwrap();
    world.run_out(|_| 0);
    assert!(!world.told().contains("onExit"));
    assert_eq!(world.workflow(), WorkflowStatus::Failed);
}

#[test]
fn the_exit_handler_runs_after_a_failure_and_can_fail_the_workflow() {
    let mut plan = plan("a");
    plan.on_exit = Some(Call::of(LEAF));
    let mut world = World::started(plan);
    world.run_out(|name| i32::from(name == "onExit"));
    assert_eq!(world.run.state().reason, Some(Reason::ExitHandler));
}

#[test]
fn a_retry_keeps_what_succeeded() {
    let mut world = World::started(plan("a; b <- a; c <- b; d <- a"));
    world.run_out(|name| i32::from(name == "b"));
    assert_eq!(world.workflow(), WorkflowStatus::Failed);
    world.told();
    world.ask(Command::Retry).unwrap();
    world.run_out(|_| 0);
    insta::assert_snapshot!(world.told(), @r"
    workflow RUNNING
    . RUNNING
    b QUEUED
    c PENDING
    b RUNNING
    b SUCCEEDED
    c QUEUED
    c RUNNING
    c SUCCEEDED
    . SUCCEEDED
    workflow SUCCEEDED
    ");
    assert_eq!((world.run.attempt(world.node("a")), world.run.attempt(world.node("b"))), (1, 2));
}

#[test]
fn a_retry_after_a_cancel_goes_on_inside_groups() {
    let call = |name: &str| task(name, LEAF, Vec::new());
    let inner = Template::new(
        "inner",
        Body::Steps(steps_of(vec![vec![call("s")], vec![call("t"), call("u")], vec![call("v")]])),
    );
    let main = dag_of(vec![
        task("g", TemplateIx(1), Vec::new()),
        repeated(task("l", TemplateIx(1), Vec::new()), 2),
    ]);
    let mut world = World::started(plan_of(vec![inner, Template::new("main", Body::Dag(main))]));
    world.exit("g.s", 0);
    world.exit("g.t", 0);
    world.exit("l(1:1).s", 0);
    world.ask(Command::Cancel).unwrap();
    world.run_out(|_| 0);
    assert_eq!(world.workflow(), WorkflowStatus::Cancelled);
    world.ask(Command::Retry).unwrap();
    world.run_out(|_| 0);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
    assert_eq!(world.run.attempt(world.node("g.t")), 1, "what succeeded stays");
    assert_eq!(world.run.attempt(world.node("g.u")), 2);
}

#[test]
fn pause_closes_the_gate_and_resume_opens_it() {
    let mut world = World::started(plan("a; b <- a"));
    world.ask(Command::Pause).unwrap();
    assert!(world.gate_closed);
    world.exit("a", 0);
    assert_eq!(world.workflow(), WorkflowStatus::Paused);
    world.ask(Command::Resume { task: None, outputs: Vec::new() }).unwrap();
    assert!(!world.gate_closed);
    world.run_out(|_| 0);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn a_suspension_waits_for_a_user_or_its_span() {
    let wait = Template::new("wait", Body::Suspend(None));
    let nap = Template::new("nap", Body::Suspend(Some(Text::plain("90s"))));
    let main =
        dag_of(vec![task("w", TemplateIx(1), Vec::new()), task("n", TemplateIx(2), Vec::new())]);
    let mut world =
        World::started(plan_of(vec![wait, nap, Template::new("main", Body::Dag(main))]));
    let before = world.now;
    world.timer().unwrap();
    assert_eq!(world.now.since(before), Millis::from_secs(90));
    assert_eq!(world.workflow(), WorkflowStatus::Running);
    world.ask(Command::Resume { task: Some("w".to_owned()), outputs: Vec::new() }).unwrap();
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn a_timeout_stops_what_runs() {
    let mut plan = plan("a");
    plan.templates[0].timeout = Some(Millis(5000));
    plan.templates[0].retry = Some(retry(3));
    let mut world = World::started(plan);
    world.timer().unwrap();
    world.run_out(|_| 0);
    assert_eq!(world.rows[&world.node("a")].state.reason, Some(Reason::Timeout));
    assert_eq!(world.workflow(), WorkflowStatus::Failed);
}

#[test]
fn the_workflow_deadline_fails_it() {
    let mut plan = plan("a; b <- a");
    plan.active_deadline = Some(Millis(1000));
    let mut world = World::started(plan);
    world.timer().unwrap();
    world.run_out(|_| 0);
    assert_eq!(world.run.state().reason, Some(Reason::Deadline));
}

#[test]
fn duplicates_and_strangers_change_nothing() {
    let mut world = World::started(plan("a; b <- a"));
    let a = world.node("a");
    let report = Box::new(world.success());
    for event in [
        Event::Submitted,
        Event::Started { node: a, number: 9, at: Timestamp(0) },
        Event::Finished { node: a, number: 2, report: report.clone() },
        Event::Finished { node: NodeIx(77), number: 1, report: report.clone() },
        Event::TimerDue { node: a, timer: Timer::Retry },
        Event::Asked(Command::Retry),
        Event::Asked(Command::Resume { task: None, outputs: Vec::new() }),
    ] {
        assert!(world.feed(&event).is_err(), "{event:?}");
    }
    world.exit("a", 0);
    let again = Event::Finished { node: a, number: 1, report };
    assert!(world.feed(&again).is_err());
}

#[test]
fn a_big_run_takes_at_most_400_bytes_a_task() {
    let node = size_of::<crate::node::Node>();
    assert!(node <= 160, "{node}");
}

#[test]
fn a_stop_while_the_exit_handler_runs_leaves_the_gate_open() {
    let mut plan = plan("a");
    plan.on_exit = Some(Call::of(LEAF));
    let mut world = World::started(plan);
    world.exit("a", 0);
    // Asking for a stop closes the gate before the engine hears of it.
    world.gate_closed = true;
    world.ask(Command::Stop).unwrap();
    assert!(!world.gate_closed);
    world.run_out(|_| 0);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn a_stop_of_a_paused_workflow_brings_it_to_its_end() {
    let mut plan = plan("a; b <- a");
    plan.on_exit = Some(Call::of(LEAF));
    let mut world = World::started(plan);
    world.ask(Command::Pause).unwrap();
    world.ask(Command::Stop).unwrap();
    world.run_out(|_| 0);
    assert!(!world.gate_closed, "the handler could run");
    assert_eq!(world.workflow(), WorkflowStatus::Failed);
}

#[test]
fn a_deadline_that_passes_while_the_exit_handler_runs_leaves_it_alone() {
    let mut plan = plan("a");
    plan.on_exit = Some(Call::of(LEAF));
    plan.active_deadline = Some(Millis(1000));
    let mut world = World::started(plan);
    world.exit("a", 0);
    world.timer().unwrap();
    assert!(!world.gate_closed);
    world.run_out(|_| 0);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn an_attempt_that_ran_into_its_deadline_is_tried_again_like_any_other() {
    let mut plan = plan("a");
    plan.templates[0].retry = Some(retry(2));
    let mut world = World::started(plan);
    let a = world.node("a");
    world.class(a, FailureClass::User, Reason::Deadline).unwrap();
    world.exit("a", 1);
    assert_eq!(world.status("a"), TaskStatus::Queued);
}
