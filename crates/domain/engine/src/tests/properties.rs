use flowforge_model::daemon::Daemon;
use flowforge_model::plan::{Backoff, Hook, Lock, Memoize, Sequence};
use flowforge_model::time::Millis;
use proptest::prelude::*;

use super::*;

/// A random plan: three levels of dags, steps, loops and tries over one leaf, with timers, hooks,
/// locks and remembered outputs.
fn plans() -> impl Strategy<Value = Plan> {
    (bare_plans(), any::<[u8; 4]>(), any::<bool>()).prop_map(|(mut plan, dice, hook)| {
        for (level, (template, die)) in plan.templates.iter_mut().zip(dice).enumerate() {
            // Inner locks are other ones than outer ones: nobody waits for himself.
            if die % 4 == 0 {
                template.locks.push(lock(&format!("level{level}")));
            }
            if die & 24 == 8 {
                let key = Text::plain(&level.to_string());
                template.memoize = Some(Memoize { key, cache: "c".into(), max_age: None });
            }
            template.fail_fast = die & 32 != 0;
            if let Body::Dag(dag) = &mut template.body {
                dag.fail_fast = die & 64 != 0;
                if die > 220 {
                    dag.targets = vec![0];
                }
            }
        }
        if dice[0] > 200 {
            plan.locks.push(lock("workflow"));
        }
        if hook {
            let status = if dice[1] % 2 == 0 { "Running" } else { "Succeeded" };
            plan.hooks.push(Hook {
                name: "told".into(),
                call: Call::of(LEAF),
                expression: Some(format!("workflow.status == '{status}'").into()),
                wide: dice[1].is_multiple_of(3),
            });
        }
        plan
    })
}

fn lock(name: &str) -> Lock {
    Lock { scope: "mutex".into(), name: Text::plain(name), limit: 1 }
}

fn bare_plans() -> impl Strategy<Value = Plan> {
    let level = |level: u32| {
        (groups(level), proptest::option::of(0..3_u32), proptest::option::of(1..4_u32))
    };
    let span = || proptest::option::weighted(0.3, (1..20_u64).prop_map(Millis));
    let timers = (span(), span(), span());
    let retries = (proptest::option::of(0..3_u32), proptest::option::of(0..4_u32));
    (level(1), level(2), level(3), any::<bool>(), retries, timers).prop_map(
        |(one, two, three, exit, (leaf_retry, most), (backoff, timeout, deadline))| {
            let mut bodies = Vec::new();
            for (index, (body, tries, parallelism)) in [one, two, three].into_iter().enumerate() {
                let mut group = Template::new(&format!("g{index}"), body);
                group.retry = tries.map(retry);
                group.parallelism = parallelism;
                bodies.push(group);
            }
            let mut plan = plan_of(bodies);
            plan.templates[0].retry = leaf_retry.map(retry);
            if let (Some(retry), Some(duration)) = (&mut plan.templates[0].retry, backoff) {
                let (factor_milli, cap, max_duration) = (2000, None, None);
                retry.backoff = Some(Backoff { duration, factor_milli, cap, max_duration });
            }
            let grows = "(asInt(retries) + asInt(lastRetry.exitCode) + 1) * 64";
            plan.templates[0].late.push(amount(Side::Limits, Resource::Memory, grows, "Mi"));
            plan.templates[0].timeout = timeout;
            plan.active_deadline = deadline;
            plan.max_retries = most;
            let mut daemon = Template { name: "daemon".into(), ..plan.templates[0].clone() };
            daemon.daemon = Some(Box::new(Daemon { probe: None }));
            plan.templates.push(daemon);
            plan.on_exit = exit.then(|| Call::of(TemplateIx(1)));
            plan
        },
    )
}

/// The template that is a daemon.
const DAEMON: TemplateIx = TemplateIx(4);

/// A body that calls templates below `level` only.
fn groups(level: u32) -> impl Strategy<Value = Body> {
    let call = (0..level, proptest::option::weighted(0.2, 0..4_usize), 0..8_u32, any::<[u8; 3]>());
    let calls = prop::collection::vec(call, 1..6);
    (calls, any::<bool>(), 1..5_usize).prop_map(|(calls, dag, wide)| {
        let tasks: Vec<Task> = (0_u32..)
            .zip(calls)
            .map(|(slot, (template, items, bits, kinds))| {
                let mut needs = Vec::new();
                for (n, kind) in (0_u32..).zip(kinds) {
                    if dag && slot > n && bits & (1 << n) != 0 {
                        let kind = match kind % 4 {
                            0 => DependencyKind::Completion,
                            1 => DependencyKind::Failure,
                            _ => DependencyKind::Success,
                        };
                        needs.push(Dependency { slot: slot - n - 1, kind });
                    }
                }
                needs.dedup_by_key(|need| need.slot);
                let mut task = task(&format!("t{slot}"), TemplateIx(template), needs);
                task.continue_on.failed = bits == 7;
                task.hooks = hooks(&task.name, kinds[2], dag);
                if items.is_none() && kinds[1] % 4 == 0 {
                    task.template = DAEMON;
                }
                match items {
                    Some(count) if kinds[0] % 2 == 0 => {
                        let (start, format) = (None, Some(Text::plain("n%02d")));
                        let count = Some(Text::plain(&count.to_string()));
                        let numbers = Sequence { count, start, end: None, format };
                        Task { repeat: Some(Box::new(Repeat::Sequence(numbers))), ..task }
                    }
                    Some(count) => repeated(task, count),
                    None => task,
                }
            })
            .collect();
        if dag {
            Body::Dag(dag_of(tasks))
        } else {
            let mut groups: Vec<Vec<Task>> = Vec::new();
            for (index, task) in tasks.into_iter().enumerate() {
                if index % wide == 0 {
                    groups.push(vec![task]);
                } else {
                    groups.last_mut().unwrap().push(task);
                }
            }
            Body::Steps(steps_of(groups))
        }
    })
}

fn hooks(task: &str, die: u8, dag: bool) -> Vec<Hook> {
    let mut hooks = Vec::new();
    if die % 8 < 2 {
        hooks.push(Hook {
            name: "exit".into(),
            call: Call::of(LEAF),
            expression: None,
            wide: false,
        });
    }
    if die % 4 == 1 {
        let kind = if dag { "tasks" } else { "steps" };
        let status = if die > 99 { "Running" } else { "Failed" };
        let expression = Some(format!("{kind}.{task}.status == '{status}'").into());
        hooks.push(Hook {
            name: "seen".into(),
            call: Call::of(LEAF),
            expression,
            wide: die.is_multiple_of(3),
        });
    }
    hooks
}

/// One thing that happens to a run; numbers pick among what is possible.
#[derive(Clone, Debug)]
enum Move {
    End(usize, i32),
    Lose(usize),
    Error(usize),
    Duplicate(usize),
    Ready(usize),
    Timer,
    Ask(Command),
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        12 => (any::<usize>(), prop_oneof![4 => Just(0), 1 => Just(1)]).prop_map(|(n, c)| Move::End(n, c)),
        1 => any::<usize>().prop_map(Move::Lose),
        1 => any::<usize>().prop_map(Move::Error),
        1 => any::<usize>().prop_map(Move::Duplicate),
        4 => any::<usize>().prop_map(Move::Ready),
        1 => Just(Move::Timer),
        1 => prop_oneof![
            Just(Command::Cancel),
            Just(Command::Stop),
            Just(Command::Terminate),
            Just(Command::Pause),
            Just(Command::Resume { task: None, outputs: Vec::new() }),
            Just(Command::Retry),
        ]
        .prop_map(Move::Ask),
    ]
}

fn play(world: &mut World, step: Move) {
    let pick = |world: &World, n: usize| {
        let live: Vec<NodeIx> = world.live.keys().copied().collect();
        (!live.is_empty()).then(|| live[n % live.len()])
    };
    match step {
        Move::End(n, code) => {
            if let Some(node) = pick(world, n) {
                world.end_attempt(node, code).unwrap();
            }
        }
        Move::Lose(n) => {
            if let Some(node) = pick(world, n) {
                world.class(node, FailureClass::Lost, Reason::Lost).unwrap();
            }
        }
        Move::Error(n) => {
            if let Some(node) = pick(world, n) {
                world.class(node, FailureClass::Error, Reason::SpawnFailed).unwrap();
            }
        }
        Move::Duplicate(n) => {
            let old: Vec<(NodeIx, u32)> = world
                .offered
                .iter()
                .copied()
                .filter(|(node, number)| world.live.get(node) != Some(number))
                .collect();
            if !old.is_empty() {
                let (node, number) = old[n % old.len()];
                let report = Box::new(world.success());
                assert!(world.feed(&Event::Finished { node, number, report }).is_err());
            }
        }
        Move::Ready(n) => {
            if let Some(node) = pick(world, n) {
                let _refused = world.ready(node);
            }
        }
        Move::Timer => {
            if !world.timers.is_empty() {
                let _stale = world.timer();
            }
        }
        Move::Ask(command) => {
            let _refused = world.ask(command);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever happens, in whatever order: every invariant of `World::check` holds after every
    /// step, and once everything that runs has ended, so has the workflow.
    #[test]
    fn a_workflow_always_comes_to_its_end(plan in plans(), script in prop::collection::vec(moves(), 0..60)) {
        let mut world = World::started(plan);
        for step in script {
            play(&mut world, step);
        }
        let mut rounds = 0;
        while !world.workflow().terminal() {
            world.run_out(|_| 0);
            if world.workflow() == WorkflowStatus::Paused {
                world.ask(Command::Resume { task: None, outputs: Vec::new() }).unwrap();
            } else if !world.workflow().terminal() && !world.timers.is_empty() {
                let _stale = world.timer();
            }
            rounds += 1;
            prop_assert!(rounds < 1000, "it hangs: {:#?}", world.story);
        }
    }

    /// The same events give the same changes: nothing is drawn, nothing depends on addresses.
    #[test]
    fn the_same_story_is_told_twice(plan in plans(), script in prop::collection::vec(moves(), 0..40)) {
        let tell = || {
            let mut world = World::started(plan.clone());
            for step in &script {
                play(&mut world, step.clone());
            }
            world.told()
        };
        prop_assert_eq!(tell(), tell());
    }
}
