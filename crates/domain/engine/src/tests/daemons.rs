use flowforge_model::daemon::Daemon;
use flowforge_model::plan::{Condition, Outcome};

use super::*;

const DAEMON: TemplateIx = TemplateIx(1);

/// A plan whose tasks that are called `d...` are daemons.
fn with_daemons(mut body: Body) -> Plan {
    let mut daemon = Template { name: "daemon".into(), ..leaf() };
    daemon.daemon = Some(Box::new(Daemon { probe: None }));
    let tasks = match &mut body {
        Body::Dag(dag) => &mut dag.tasks,
        Body::Steps(steps) => &mut steps.steps,
        _ => panic!("a dag or steps"),
    };
    for task in tasks.iter_mut().filter(|task| task.name.starts_with('d')) {
        task.template = DAEMON;
    }
    plan_of(vec![daemon, Template::new("main", body)])
}

fn dag(text: &str) -> World {
    World::started(with_daemons(Body::Dag(graph(text))))
}

fn steps(groups: &[&[&str]]) -> World {
    World::started(steps_plan(groups))
}

fn steps_plan(groups: &[&[&str]]) -> Plan {
    let group = |names: &&[&str]| names.iter().map(|name| task(name, LEAF, Vec::new())).collect();
    with_daemons(Body::Steps(steps_of(groups.iter().map(group).collect())))
}

impl World {
    fn is_ready(&mut self, name: &str) {
        self.ready(self.node(name)).unwrap();
    }

    /// What was told to stop stops.
    fn stopped(&mut self, name: &str) {
        let node = self.node(name);
        assert!(self.stopping.contains(&node), "{name} was not told to stop");
        self.class(node, FailureClass::Stopped, Reason::Stopped).unwrap();
    }

    fn waits(&self, name: &str) -> bool {
        self.status(name) == TaskStatus::Pending
    }
}

#[test]
fn tasks_go_on_when_their_daemon_is_ready_and_it_ends_with_them() {
    let mut world = dag("d; a <- d; b <- a d");
    assert!(world.waits("a"));
    world.is_ready("d");
    assert_eq!(world.message(world.node("d")), Some("ready at 10.0.0.7"));
    world.exit("a", 0);
    world.exit("b", 0);
    assert_eq!(world.workflow(), WorkflowStatus::Running, "the daemon has not ended");
    world.stopped("d");
    assert_eq!(
        world.told(),
        "workflow RUNNING\n. RUNNING\nd QUEUED\nd RUNNING daemoned\na QUEUED\na RUNNING\n\
         a SUCCEEDED\nb QUEUED\nb RUNNING\nb SUCCEEDED\nd SUCCEEDED daemoned\n. SUCCEEDED\n\
         workflow SUCCEEDED"
    );
}

#[test]
fn a_daemon_is_ready_once_and_only_while_it_is_current() {
    let mut world = dag("d; a <- d");
    let (node, at) = (world.node("d"), world.now);
    let ready = |number| Event::Ready { node, number, at, ip: "10.0.0.8".to_owned() };
    assert!(world.feed(&ready(2)).is_err());
    world.feed(&ready(1)).unwrap();
    assert!(world.feed(&ready(1)).is_err(), "told twice");
    let a = world.node("a");
    assert!(world.ready(a).is_err(), "no daemon");
}

#[test]
fn steps_go_on_when_their_daemons_are_ready() {
    let mut world = steps(&[&["d", "a"], &["b"], &["c"]]);
    world.exit("a", 0);
    assert!(world.waits("b"));
    world.is_ready("d");
    world.exit("b", 0);
    world.exit("c", 0);
    world.stopped("d");
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn a_daemon_that_ends_badly_fails_what_it_served() {
    let mut world = dag("d; a <- d; b <- a; x; y <- x");
    world.is_ready("d");
    world.exit("d", 1);
    assert_eq!(world.status("d"), TaskStatus::Failed);
    world.exit("a", 0);
    world.exit("x", 0);
    assert_eq!(world.status("b"), TaskStatus::Skipped, "nothing more begins");
    assert_eq!(world.status("y"), TaskStatus::Skipped);
    assert_eq!(world.workflow(), WorkflowStatus::Failed);
    assert_eq!(world.run.state().message.as_deref(), Some("task d failed: exit code 1"));
}

#[test]
fn a_daemon_of_an_earlier_step_that_ends_badly_fails_the_steps() {
    let mut world = steps(&[&["d"], &["a"], &["b"]]);
    world.is_ready("d");
    world.exit("d", 1);
    world.exit("a", 0);
    assert_eq!(world.status("b"), TaskStatus::Skipped);
    assert_eq!(world.workflow(), WorkflowStatus::Failed);
}

#[test]
fn while_a_daemon_is_tried_again_what_has_not_begun_waits() {
    for mut plan in [
        with_daemons(Body::Dag(graph("d; a <- d; b <- a d"))),
        steps_plan(&[&["d"], &["a"], &["b"]]),
    ] {
        plan.templates[1].retry = Some(retry(1));
        let mut world = World::started(plan);
        world.is_ready("d");
        world.exit("d", 1);
        assert_eq!(world.status("d"), TaskStatus::Queued);
        world.exit("a", 0);
        assert!(world.waits("b"), "its daemon is away");
        world.is_ready("d");
        world.exit("b", 0);
        world.stopped("d");
        assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
    }
}

#[test]
fn a_lost_daemon_comes_back_without_counting_as_a_failure() {
    let mut world = dag("d; a <- d; b <- a d");
    world.is_ready("d");
    world.class(world.node("d"), FailureClass::Lost, Reason::Lost).unwrap();
    world.exit("a", 0);
    assert!(world.waits("b"));
    world.is_ready("d");
    world.exit("b", 0);
    world.class(world.node("d"), FailureClass::Lost, Reason::Lost).unwrap();
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded, "nobody needs it any more");
}

#[test]
fn a_daemon_that_is_away_ends_with_the_last_that_it_served() {
    let mut plan = with_daemons(Body::Dag(graph("d; a <- d")));
    plan.templates[1].retry = Some(retry(1));
    let mut world = World::started(plan);
    world.is_ready("d");
    world.exit("d", 1);
    world.exit("a", 0);
    world.stopped("d");
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn a_daemon_that_ends_well_by_itself_has_succeeded() {
    let mut world = dag("d; a <- d; b <- a d");
    world.is_ready("d");
    world.exit("d", 0);
    world.exit("a", 0);
    world.exit("b", 0);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn a_cancel_ends_a_daemon_with_the_rest() {
    let mut world = dag("d; a <- d");
    world.is_ready("d");
    world.ask(Command::Cancel).unwrap();
    world.stopped("a");
    world.stopped("d");
    assert_eq!(world.status("d"), TaskStatus::Cancelled);
    assert_eq!(world.workflow(), WorkflowStatus::Cancelled);
}

#[test]
fn a_users_retry_runs_the_daemon_again_that_failed_tasks_need() {
    let mut world = steps(&[&["d"], &["a"]]);
    world.is_ready("d");
    world.exit("a", 1);
    world.stopped("d");
    assert_eq!(world.status("d"), TaskStatus::Cancelled, "a success would be final");
    assert_eq!(world.workflow(), WorkflowStatus::Failed);
    world.ask(Command::Retry).unwrap();
    assert!(world.waits("a"));
    world.is_ready("d");
    world.exit("a", 0);
    world.stopped("d");
    assert_eq!(world.status("d"), TaskStatus::Succeeded);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn a_daemon_that_serves_nobody_ends_when_it_is_ready() {
    let mut daemon = Template { name: "daemon".into(), ..leaf() };
    daemon.daemon = Some(Box::new(Daemon { probe: None }));
    let mut world = World::started(plan_of(vec![daemon]));
    world.ready(NodeIx::ROOT).unwrap();
    world.class(NodeIx::ROOT, FailureClass::Stopped, Reason::Stopped).unwrap();
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn an_exit_handler_waits_for_the_daemons_to_end() {
    let mut plan = with_daemons(Body::Dag(graph("d; a <- d")));
    plan.on_exit = Some(Call::of(LEAF));
    let mut world = World::started(plan);
    world.is_ready("d");
    world.exit("a", 0);
    assert_eq!(world.live.len(), 1, "only the daemon");
    world.stopped("d");
    world.exit("onExit", 0);
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn depends_tells_a_daemon_that_serves_from_one_that_has_succeeded() {
    let mut body = graph("d; a <- d; b <- d");
    let needs = |outcome| Needs::Depends {
        slots: [0].into(),
        condition: Box::new(Condition::Is(0, outcome)),
    };
    body.tasks[1].needs = needs(Outcome::Daemoned);
    body.tasks[2].needs = needs(Outcome::Succeeded);
    let mut world = World::started(with_daemons(Body::Dag(body)));
    world.is_ready("d");
    assert_eq!(world.status("a"), TaskStatus::Queued);
    assert_eq!(world.status("b"), TaskStatus::Skipped);
}

#[test]
fn a_daemon_that_serves_takes_no_place_under_a_parallelism() {
    let mut plan = with_daemons(Body::Dag(graph("d; a <- d; b <- d")));
    plan.templates[2].parallelism = Some(1);
    let mut world = World::started(plan);
    world.is_ready("d");
    assert_eq!((world.status("a"), world.waits("b")), (TaskStatus::Queued, true));
    world.exit("a", 0);
    world.exit("b", 0);
    world.stopped("d");
    assert_eq!(world.workflow(), WorkflowStatus::Succeeded);
}

#[test]
fn a_daemon_whose_time_is_up_fails_what_it_served() {
    let mut plan = with_daemons(Body::Dag(graph("d; a <- d")));
    plan.templates[1].timeout = Some(flowforge_model::time::Millis(5));
    let mut world = World::started(plan);
    world.is_ready("d");
    world.timer().unwrap();
    world.stopped("d");
    world.exit("a", 0);
    assert_eq!(world.workflow(), WorkflowStatus::Failed);
}
