//! Stories of what comes before a task begins: locks and remembered outputs.

use flowforge_model::plan::{Lock, Memoize};
use flowforge_model::time::Millis;

use super::*;

fn mutex(name: &str) -> Lock {
    Lock { scope: "mutex".into(), name: Text::plain(name), limit: 1 }
}

#[test]
fn a_task_holds_its_lock_through_all_its_tries() {
    let mut plan = plan("a");
    plan.templates[0].locks = vec![mutex("m")];
    plan.templates[0].retry = Some(retry(1));
    let mut world = World::new(plan);
    world.taken.insert("mutex/default/m".to_owned());
    world.feed(&Event::Submitted).unwrap();
    let a = world.node("a");
    assert_eq!(world.message(a), Some("waits for mutex/default/m"));
    assert!(world.live.is_empty());
    world.taken.clear();
    world.wanted.clear();
    world.held.insert(a, lock_requests(&world.plan, &world.run, a).unwrap());
    world.feed(&Event::Granted { node: a }).unwrap();
    world.end_attempt(a, 1).unwrap();
    assert_eq!(world.held.len(), 1);
    world.end_attempt(a, 0).unwrap();
    assert!(world.held.is_empty());
    insta::assert_snapshot!(world.told(), @r"
    workflow RUNNING
    . RUNNING
    a QUEUED lock
    a QUEUED
    a RUNNING
    a QUEUED exit_code
    a RUNNING
    a SUCCEEDED
    . SUCCEEDED
    workflow SUCCEEDED
    ");
}

#[test]
fn locks_of_the_workflow_are_held_until_its_exit_handler_has_ended() {
    let mut plan = plan("a");
    plan.locks = vec![mutex("w")];
    plan.on_exit = Some(Call::of(LEAF));
    let mut world = World::started(plan);
    world.exit("a", 0);
    assert!(!world.held.is_empty());
    world.exit("onExit", 0);
    assert!(world.held.is_empty());
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

/// The exit handler may want what the entrypoint held: that is free when it begins.
#[test]
fn the_root_gives_its_own_locks_back_before_the_exit_handler() {
    let mut plan = plan("a");
    plan.locks = vec![mutex("w")];
    plan.templates[1].locks = vec![mutex("m")];
    let mut last = Template { name: "last".into(), ..leaf() };
    last.locks = vec![mutex("m")];
    plan.templates.push(last);
    plan.on_exit = Some(Call::of(TemplateIx(2)));
    let mut world = World::started(plan);
    world.run_out(|_| 0);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
    assert!(world.held.is_empty());
}

#[test]
fn a_task_that_would_wait_for_what_holds_it_fails() {
    let below = |name: &str| {
        let mut plan = plan("a");
        match name {
            "workflow" => plan.locks = vec![mutex("m")],
            "exit" => {
                plan.locks = vec![mutex("m")];
                plan.on_exit = Some(Call::of(TemplateIx(2)));
            }
            _ => plan.templates[1].locks = vec![mutex("m")],
        }
        let mut last = Template { name: "last".into(), ..leaf() };
        last.locks = vec![mutex("m")];
        plan.templates.push(last);
        let at = if name == "exit" { 2 } else { 0 };
        plan.templates[at].locks = vec![mutex("m")];
        let mut world = World::started(plan);
        world.run_out(|_| 0);
        world.run.state().message.clone().unwrap_or_default()
    };
    for name in ["workflow", "group", "exit"] {
        let message = below(name);
        assert!(message.contains("wait for mutex/default/m without an end"), "{name}: {message}");
    }
}

#[test]
fn whoever_waits_for_a_lock_can_be_cancelled_and_can_run_out_of_time() {
    for timeout in [None, Some(Millis(5))] {
        let mut plan = plan("a; b");
        plan.templates[0].locks = vec![mutex("m")];
        plan.templates[0].timeout = timeout;
        let mut world = World::new(plan);
        world.taken.insert("mutex/default/m".to_owned());
        world.feed(&Event::Submitted).unwrap();
        match timeout {
            Some(_) => {
                world.timer().unwrap();
                world.timer().unwrap();
                assert_eq!(world.status("a"), TaskStatus::Failed);
            }
            None => world.ask(Command::Cancel).unwrap(),
        }
        assert!(world.workflow().terminal() && world.wanted.is_empty());
    }
}

#[test]
fn a_grant_that_nobody_waits_for_is_stale() {
    let mut world = World::started(plan("a"));
    let a = world.node("a");
    assert!(world.feed(&Event::Granted { node: a }).is_err());
    assert!(world.feed(&Event::Recalled { node: a, hit: None }).is_err());
}

#[test]
fn a_task_with_a_known_key_does_not_run_and_gives_what_was_given() {
    let mut plan = plan("a; b <- a");
    let key = Text::plain("k");
    plan.templates[0].memoize = Some(Memoize { key, cache: "c".into(), max_age: None });
    let mut world = World::started(plan);
    let a = world.node("a");
    let report = Report { result: Some("42".to_owned()), ..world.success() };
    world.report(a, report).unwrap();
    insta::assert_snapshot!(world.told(), @r"
    workflow RUNNING
    . RUNNING
    a QUEUED
    a SUCCEEDED
    b SUCCEEDED memoized
    . SUCCEEDED
    workflow SUCCEEDED
    ");
    let b = world.run.node(world.node("b")).unwrap();
    assert_eq!(b.outputs().and_then(|outputs| outputs.result.as_deref()), Some("42"));
}

#[test]
fn a_group_with_a_lock_and_a_known_key_is_as_a_task() {
    let mut main = Template::new("main", Body::Dag(graph("a")));
    main.locks = vec![mutex("m")];
    main.memoize =
        Some(Memoize { key: Text::plain("k"), cache: "c".into(), max_age: Some(Millis(1)) });
    let mut world = World::started(plan_of(vec![main.clone()]));
    world.run_out(|_| 0);
    let memory = std::mem::take(&mut world.memory);
    assert_eq!(memory.len(), 1);
    let mut world = World::new(plan_of(vec![main]));
    world.memory = memory;
    world.feed(&Event::Submitted).unwrap();
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
    assert_eq!(world.run.len(), 1, "nothing ran");
}
