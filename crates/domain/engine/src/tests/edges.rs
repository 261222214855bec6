//! Stories of what happens rarely: restarts, stops and retries at awkward moments, values that
//! are not there.

use flowforge_model::plan::{Input, Output, OutputSource};
use flowforge_model::text::{Reference, Segment, SiblingField};

use super::*;

fn result_of(slot: u32) -> Text {
    let field = SiblingField::Result;
    Text::Parts(Box::new([Segment::Reference(Reference::Sibling { slot, field })]))
}

/// `World::check` restores the run after every step: held steps of a wide group must be held
/// again, those at its end as well.
#[test]
fn steps_held_by_parallelism_are_held_after_a_restart() {
    let group: Vec<Task> = ["a", "b", "c", "d"].map(|name| task(name, LEAF, Vec::new())).into();
    let mut main = Template::new("main", Body::Steps(steps_of(vec![group])));
    main.parallelism = Some(1);
    let mut world = World::started(plan_of(vec![main]));
    world.run_out(|_| 0);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

/// The step that runs ends well although it was told to stop: those after it never ran, so the
/// template has not succeeded, and a retry runs them.
#[test]
fn steps_cut_short_by_a_stop_have_not_succeeded() {
    let groups = ["a", "b"].map(|name| vec![task(name, LEAF, Vec::new())]).into();
    let mut world =
        World::started(plan_of(vec![Template::new("main", Body::Steps(steps_of(groups)))]));
    world.ask(Command::Stop).unwrap();
    world.exit("a", 0);
    assert_eq!(world.workflow(), WorkflowStatus::Failed);
    assert_eq!(world.run.status(NodeIx::ROOT), Some(TaskStatus::Cancelled));
    world.ask(Command::Retry).unwrap();
    assert_eq!(world.workflow(), WorkflowStatus::Running);
    world.exit("b", 0);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

/// `list` is skipped, so there is nothing to loop over; the loop is skipped for the same reason.
#[test]
fn a_loop_whose_condition_is_false_needs_no_items() {
    let no = || Some(Text::plain("1 == 2"));
    let needs = vec![Dependency { slot: 0, kind: DependencyKind::Success }];
    let list = Task { when: no(), ..task("list", LEAF, Vec::new()) };
    let each = Task {
        when: no(),
        repeat: Some(Box::new(Repeat::Param(result_of(0)))),
        ..task("each", LEAF, needs)
    };
    let body = Body::Dag(dag_of(vec![list, each]));
    let world = World::started(plan_of(vec![Template::new("main", body)]));
    assert_eq!(world.status("each"), TaskStatus::Skipped);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

/// A command that prints nothing has an empty result, not none.
#[test]
fn a_task_that_printed_nothing_has_an_empty_result() {
    let needs = vec![Dependency { slot: 0, kind: DependencyKind::Success }];
    let mut inner = leaf();
    inner.name = "takes".into();
    inner.inputs = vec![Input { name: "text".into(), default: None, choices: Vec::new() }];
    let takes = Task {
        arguments: vec![("text".into(), result_of(0))],
        ..task("takes", TemplateIx(1), needs)
    };
    let body = Body::Dag(dag_of(vec![task("quiet", LEAF, Vec::new()), takes]));
    let mut world = World::started(plan_of(vec![inner, Template::new("main", body)]));
    world.exit("quiet", 0);
    let order = work_order(&world.plan, &world.run, world.node("takes"), world.now);
    assert!(order.is_ok(), "{order:?}");
}

/// What a group gets may be another thing in the next generation, and wrong.
#[test]
fn a_group_that_cannot_go_on_in_the_next_generation_leaves_nothing_open() {
    let mut inner = Template::new("inner", Body::Dag(graph("x")));
    inner.inputs = vec![Input {
        name: "word".into(),
        default: Some(Text::plain("yes")),
        choices: vec!["yes".into()],
    }];
    let needs = vec![Dependency { slot: 0, kind: DependencyKind::Completion }];
    let group = Task {
        arguments: vec![("word".into(), result_of(0))],
        ..task("group", TemplateIx(1), needs)
    };
    let body = Body::Dag(dag_of(vec![task("says", LEAF, Vec::new()), group]));
    let mut world = World::started(plan_of(vec![inner, Template::new("main", body)]));
    // It did not even start, so it has said nothing.
    let says = world.node("says");
    world.class(says, FailureClass::Error, Reason::SpawnFailed).unwrap();
    world.exit("group.x", 1);
    assert_eq!(world.workflow(), WorkflowStatus::Failed);
    world.ask(Command::Retry).unwrap();
    let node = world.node("says");
    let report = Report { result: Some("no".to_owned()), ..world.success() };
    world.report(node, report).unwrap();
    assert_eq!(world.status("group"), TaskStatus::Failed);
    assert_eq!(world.workflow(), WorkflowStatus::Failed);
}

/// `when` was true when the turn of the held task came. It is not asked again: an answer of false
/// would give the slot to nobody.
#[test]
fn a_held_task_keeps_its_answer() {
    let mut sets = leaf();
    sets.name = "sets".into();
    sets.outputs = vec![Output {
        name: "word".into(),
        source: OutputSource::Path(Text::plain("word")),
        default: None,
        global_name: Some("word".into()),
    }];
    let word = Segment::Reference(Reference::WorkflowOutput("word".into()));
    let when = Text::Parts(Box::new([word, Segment::Literal(" == a".into())]));
    let after = |name| Task {
        when: Some(when.clone()),
        ..task(name, LEAF, vec![Dependency { slot: 0, kind: DependencyKind::Success }])
    };
    let first = task("first", TemplateIx(1), Vec::new());
    let second =
        task("second", TemplateIx(1), vec![Dependency { slot: 0, kind: DependencyKind::Success }]);
    let body = Body::Dag(dag_of(vec![first, second, after("x"), after("y")]));
    let mut main = Template::new("main", body);
    main.parallelism = Some(1);
    let mut world = World::started(plan_of(vec![sets, main]));
    for (name, word) in [("first", "a"), ("second", "b")] {
        let node = world.node(name);
        let outputs = vec![("word".to_owned(), word.to_owned())];
        let report = Report { outputs, ..world.success() };
        world.report(node, report).unwrap();
    }
    world.run_out(|_| 0);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
    assert_eq!(world.status("x"), TaskStatus::Succeeded);
}

/// Listing what failed walks over the whole run: only who asks for it pays.
#[test]
fn an_expression_sees_what_it_asks_for() {
    let mut world = World::started(plan("a; b <- a?"));
    world.exit("a", 1);
    let view = crate::scope::View::new(&world.plan, &world.run, NodeIx::ROOT, &[], world.now);
    let value = |source: &str| flowforge_expr::expression(source, &view).unwrap();
    assert_eq!(value("tasks.a.status"), "Failed");
    assert_eq!(value("tasks['a'].exitCode ?? 'none'"), "1");
    assert_eq!(value("keys(tasks)"), r#"["a","b"]"#);
    assert_eq!(value("fromJSON(workflow.failures)[0].displayName"), "a");
    assert_eq!(value("workflow.name == fromJSON(toJson(workflow)).name"), "true");
    assert_eq!(value("tasks.nothing?.status ?? 'absent'"), "absent");
    assert_eq!(value("sprig.randAlphaNum(5) == sprig.randAlphaNum(5)"), "false");
    assert_eq!(value("sprig.uuidv4()"), value("sprig.uuidv4()"));
    assert_eq!(value("now().Unix()"), (world.now.0 / 1000).to_string());
}

/// The exit handler is all that is left, and it may run: the stop undoes the pause.
#[test]
fn a_stop_of_a_paused_exit_handler_lets_it_run() {
    let mut plan = plan("a");
    plan.on_exit = Some(Call::of(LEAF));
    let mut world = World::started(plan);
    world.exit("a", 0);
    world.ask(Command::Pause).unwrap();
    assert!(world.gate_closed);
    world.ask(Command::Stop).unwrap();
    assert!(!world.gate_closed);
    world.run_out(|_| 0);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn a_suspension_takes_every_span_that_a_document_may_name() {
    let nap = Template::new("nap", Body::Suspend(Some(Text::plain("1.5"))));
    let main = dag_of(vec![task("n", TemplateIx(1), Vec::new())]);
    let mut world = World::started(plan_of(vec![nap, Template::new("main", Body::Dag(main))]));
    let before = world.now;
    world.timer().unwrap();
    assert_eq!(world.now.since(before), flowforge_model::time::Millis(1500));
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}
