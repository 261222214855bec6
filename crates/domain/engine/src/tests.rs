//! A small world for stories and properties: plans from one line of text, an executor that does
//! what it is told, and rows as a store would keep them. After every step the run is restored
//! from its rows and must be the same.

mod children;
mod daemons;
mod edges;
mod failing;
mod hooks;
mod properties;
mod retries;
mod stories;
mod values;
mod waits;

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::attempt::{Failure, FailureClass, Main, Process, Report, Work, WorkOrder};
use flowforge_model::event::{
    Command, Effect, Event, NodeKind, Outputs, Record, TaskRow, Timer, WorkflowState,
};
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::plan::{
    Body, Call, Container, Dag, Dependency, DependencyKind, Needs, Output, OutputSource, Plan,
    Repeat, RetryPolicy, RetryStrategy, Rows, Setting, Steps, Task, Template, TemplateIx,
};
use flowforge_model::resources::{Resource, Resources, Side};
use flowforge_model::status::{Reason, TaskStatus, WorkflowStatus};
use flowforge_model::text::{Segment, Text};
use flowforge_model::time::Timestamp;

use crate::{
    Changes, Context, LockRequest, Run, StepError, kept_locks, lock_requests, memo, step,
    task_write, work_order,
};

/// Template 0 of every test plan: a leaf.
const LEAF: TemplateIx = TemplateIx(0);

fn leaf() -> Template {
    let container = Container {
        image: Text::plain("busybox"),
        command: vec![Text::plain("true")],
        args: Vec::new(),
        env: Vec::new(),
        secrets: Vec::new(),
        mounts: Vec::new(),
        working_dir: None,
        resources: Resources::default(),
        variables: false,
        pull: None,
        security: None,
    };
    Template::new("leaf", Body::Container(container))
}

fn task(name: &str, template: TemplateIx, needs: Vec<Dependency>) -> Task {
    Task { needs: Needs::All(needs.into()), ..Task::new(name, template) }
}

fn dag_of(tasks: Vec<Task>) -> Dag {
    let mut pairs = Vec::new();
    let mut inner = BTreeSet::new();
    for (slot, task) in (0_u32..).zip(&tasks) {
        for need in task.needs.slots() {
            pairs.push((need, slot));
            inner.insert(need);
        }
    }
    let count = u32::try_from(tasks.len()).unwrap();
    let targets = (0..count).filter(|slot| !inner.contains(slot)).collect();
    // Test graphs only point backwards, so their own order is topological.
    Dag {
        dependents: Rows::from_pairs(tasks.len(), &pairs),
        targets,
        order: (0..count).collect(),
        tasks,
        fail_fast: false,
    }
}

fn steps_of(groups: Vec<Vec<Task>>) -> Steps {
    let mut ends = Vec::new();
    let mut steps = Vec::new();
    for group in groups {
        steps.extend(group);
        ends.push(u32::try_from(steps.len()).unwrap());
    }
    Steps { steps, group_ends: ends }
}

/// `"a; b <- a; c <- a? b!"`: tasks with what they depend on; `?` is completion, `!` failure.
fn graph(text: &str) -> Dag {
    let mut names: Vec<&str> = Vec::new();
    let mut tasks = Vec::new();
    for line in text.split(';') {
        let (name, needs) = line.split_once("<-").unwrap_or((line, ""));
        let needs = needs.split_whitespace().map(|need| {
            let (name, kind) = match need.as_bytes().last() {
                Some(b'?') => (&need[..need.len() - 1], DependencyKind::Completion),
                Some(b'!') => (&need[..need.len() - 1], DependencyKind::Failure),
                _ => (need, DependencyKind::Success),
            };
            let slot = names.iter().position(|known| *known == name).expect("a task above");
            Dependency { slot: u32::try_from(slot).unwrap(), kind }
        });
        tasks.push(task(name.trim(), LEAF, needs.collect()));
        names.push(name.trim());
    }
    dag_of(tasks)
}

fn plan_of(bodies: Vec<Template>) -> Plan {
    let mut templates = vec![leaf()];
    templates.extend(bodies);
    let entrypoint = TemplateIx(u32::try_from(templates.len() - 1).unwrap());
    Plan::new(templates, entrypoint)
}

fn plan(text: &str) -> Plan {
    plan_of(vec![Template::new("main", Body::Dag(graph(text)))])
}

fn retry(limit: u32) -> RetryStrategy {
    RetryStrategy {
        limit: Some(limit),
        policy: RetryPolicy::Always,
        backoff: None,
        expression: None,
    }
}

/// What the processes of an order ask for together.
fn asked_by(order: &WorkOrder) -> Option<Resources> {
    let Work::Run(program) = &order.work else { return None };
    let own = |process: &Process| process.resources.as_deref().copied().unwrap_or(order.resources);
    let main = match &program.main {
        Main::One(process) | Main::Gang { process, .. } => vec![process],
        Main::Set { members, .. } => members.iter().map(|member| &member.process).collect(),
    };
    let together = main.into_iter().chain(&program.sidecars).map(own).sum();
    Some(program.init.iter().map(own).fold(together, Resources::max))
}

/// An amount of the container of a leaf, read for each attempt: a number that an expression gives, and a suffix.
fn amount(side: Side, resource: Resource, expression: &str, suffix: &str) -> (Setting, Text) {
    let parts = [Segment::Expression(expression.into()), Segment::Literal(suffix.into())];
    (Setting::Resource { container: 0, side, resource }, Text::Parts(parts.into()))
}

/// A run with its rows and everything it asked for.
struct World {
    plan: Plan,
    run: Run,
    now: Timestamp,
    rows: BTreeMap<NodeIx, TaskRow>,
    state: WorkflowState,
    live: BTreeMap<NodeIx, u32>,
    timers: BTreeMap<(NodeIx, Timer), Timestamp>,
    stopping: BTreeSet<NodeIx>,
    gate_closed: bool,
    /// Locks that nodes wait for and hold, and those that others hold.
    wanted: BTreeMap<NodeIx, Vec<LockRequest>>,
    held: BTreeMap<NodeIx, Vec<LockRequest>>,
    taken: BTreeSet<String>,
    /// Questions for remembered outputs, and what is remembered by key.
    asked: Vec<NodeIx>,
    memory: BTreeMap<String, Outputs>,
    /// What the live attempts were to ask for when they were offered.
    needs: BTreeMap<NodeIx, Resources>,
    /// Attempts ever offered.
    offered: BTreeSet<(NodeIx, u32)>,
    story: Vec<String>,
}

impl World {
    fn new(plan: Plan) -> Self {
        let context = Context {
            id: WorkflowId(uuid::Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057)),
            project_id: EntityId::DEFAULT_PROJECT,
            name: "test".to_owned(),
            project: "default".to_owned(),
            lock_name: "default".to_owned(),
            labels: Vec::new(),
            priority: 0,
            created_at: Timestamp(1_000_000),
        };
        let run = Run::new(context);
        Self {
            state: run.state().clone(),
            plan,
            run,
            now: Timestamp(1_000_000),
            rows: BTreeMap::new(),
            live: BTreeMap::new(),
            timers: BTreeMap::new(),
            stopping: BTreeSet::new(),
            gate_closed: false,
            wanted: BTreeMap::new(),
            held: BTreeMap::new(),
            taken: BTreeSet::new(),
            asked: Vec::new(),
            memory: BTreeMap::new(),
            needs: BTreeMap::new(),
            offered: BTreeSet::new(),
            story: Vec::new(),
        }
    }

    fn started(plan: Plan) -> Self {
        let mut world = Self::new(plan);
        world.feed(&Event::Submitted).unwrap();
        world
    }

    /// One event and the answers to what the run asks for because of it, each a step; checks
    /// everything that must always hold.
    fn feed(&mut self, event: &Event) -> Result<(), StepError> {
        let before = self.run.clone();
        self.one_step(event)?;
        while let Some(node) = self.asked.pop() {
            let memo = memo(&self.plan, &self.run, node).unwrap().unwrap();
            let hit = self.memory.get(&memo.key).cloned().map(Box::new);
            self.one_step(&Event::Recalled { node, hit })?;
        }
        self.check(&before);
        if let Some(node) = self.next_lock_holder() {
            self.feed(&Event::Granted { node })?;
        }
        Ok(())
    }

    /// A node whose locks are free.
    fn next_lock_holder(&mut self) -> Option<NodeIx> {
        let held = self.held.values().flatten().map(|lock| &*lock.key);
        let busy: BTreeSet<&str> = held.chain(self.taken.iter().map(|key| &**key)).collect();
        let mut wanted = self.wanted.iter();
        let free = wanted.find(|(_, locks)| locks.iter().all(|lock| !busy.contains(&*lock.key)));
        let node = *free?.0;
        let locks = self.wanted.remove(&node)?;
        self.held.insert(node, locks);
        Some(node)
    }

    fn one_step(&mut self, event: &Event) -> Result<(), StepError> {
        let before = self.run.clone();
        let changes = match step(&self.plan, &mut self.run, event, self.now) {
            Ok(changes) => changes,
            Err(error) => {
                assert!(matches!(error, StepError::Stale(_)), "{error} on {event:?}");
                assert_eq!(self.run, before, "a stale event changed something: {event:?}");
                return Err(error);
            }
        };
        self.store(&changes);
        self.carry_out(&changes);
        Ok(())
    }

    fn store(&mut self, changes: &Changes) {
        if changes.workflow {
            self.state = self.run.state().clone();
        }
        for (&ix, &new) in &changes.touched {
            let write = task_write(&self.plan, &self.run, ix, new).expect("touched nodes exist");
            assert_eq!(write.shape.is_some(), new);
            match write.shape {
                Some(shape) => {
                    let row = TaskRow { node: ix, shape, state: write.state };
                    assert!(self.rows.insert(ix, row).is_none(), "{ix:?} created twice");
                }
                None => self.rows.get_mut(&ix).expect("known").state = write.state,
            }
        }
        for record in &changes.records {
            let line = self.tell(record);
            self.story.push(line);
        }
    }

    fn tell(&self, record: &Record) -> String {
        let why =
            |reason: &Option<Reason>| reason.map_or(String::new(), |r| format!(" {}", r.as_str()));
        match record {
            Record::Workflow { status, reason, .. } => {
                format!("workflow {}{}", status.as_str(), why(reason))
            }
            Record::Task { node, status, reason, attempt, exit_code, .. } => {
                let row = &self.rows[node];
                assert_eq!((row.state.status, row.state.reason), (*status, *reason), "INV-11");
                assert_eq!(
                    (row.state.attempt, row.state.exit_code),
                    (*attempt, *exit_code),
                    "INV-11"
                );
                let name = if row.shape.name.is_empty() { "." } else { &row.shape.name };
                format!("{name} {}{}", status.as_str(), why(reason))
            }
        }
    }

    fn carry_out(&mut self, changes: &Changes) {
        for effect in &changes.effects {
            match *effect {
                Effect::Runnable { node, number } => {
                    assert!(self.offered.insert((node, number)), "{node:?} attempt {number} twice");
                    assert!(self.live.insert(node, number).is_none(), "two live attempts");
                    self.needs.insert(node, self.run.resources(&self.plan, node));
                }
                Effect::Stop { node, number } => {
                    assert_eq!(self.live.get(&node), Some(&number), "stop of what does not run");
                    self.stopping.insert(node);
                }
                Effect::SetTimer { node, timer, at } => {
                    self.timers.insert((node, timer), at);
                }
                Effect::ClearTimer { node, timer } => {
                    self.timers.remove(&(node, timer));
                }
                Effect::CloseGate => self.gate_closed = true,
                Effect::OpenGate => self.gate_closed = false,
                Effect::Delete => {}
                Effect::Acquire { node } => {
                    let locks = lock_requests(&self.plan, &self.run, node).unwrap();
                    assert!(self.wanted.insert(node, locks).is_none(), "{node:?} asks twice");
                }
                Effect::Release { node } => {
                    let waited = self.wanted.remove(&node);
                    let kept = kept_locks(&self.plan, &self.run, node);
                    let had = match (waited, self.held.remove(&node)) {
                        (None, Some(held)) => {
                            let still = held
                                .iter()
                                .filter(|lock| kept.iter().any(|kept| kept.key == lock.key));
                            let still: Vec<LockRequest> = still.cloned().collect();
                            if !still.is_empty() {
                                self.held.insert(node, still);
                            }
                            Some(held)
                        }
                        (waited, _) => waited,
                    };
                    // A root that had succeeded in an earlier generation is not locked again.
                    assert!(had.is_some() || node == NodeIx::ROOT, "{node:?} releases nothing");
                }
                Effect::Recall { node } => self.asked.push(node),
                Effect::Memorize { node } => {
                    let memo = memo(&self.plan, &self.run, node).unwrap().unwrap();
                    let outputs = self.run.node(node).unwrap().outputs().cloned();
                    self.memory.insert(memo.key, outputs.unwrap_or_default());
                }
            }
        }
    }

    /// What is reserved for an attempt does not change until it ends, and is what its order asks for.
    fn check_needs(&self) {
        for &node in self.live.keys() {
            let need = self.run.resources(&self.plan, node);
            assert_eq!(
                Some(&need),
                self.needs.get(&node),
                "of {node:?} something else is reserved"
            );
            let order = work_order(&self.plan, &self.run, node, self.now);
            let asked = order.ok().and_then(|order| asked_by(&order));
            assert!(
                asked.is_none_or(|asked| asked == need),
                "{node:?} gets {asked:?}, not {need:?}"
            );
        }
    }

    fn check(&self, before: &Run) {
        self.check_needs();
        let rows: Vec<TaskRow> = self.rows.values().cloned().collect();
        let restored =
            Run::restore(&self.plan, self.run.context().clone(), self.state.clone(), rows);
        let (restored, live) = (normal(restored.unwrap()), normal(self.run.clone()));
        for (index, pair) in restored.nodes.iter().zip(&live.nodes).enumerate() {
            assert_eq!(pair.0, pair.1, "restored (left) differs: {}", self.name(index));
        }
        assert!(restored == live, "restored differs");
        let most = self.plan.max_retries.unwrap_or(u32::MAX);
        assert!(self.run.retries <= most, "{} retries of {most}", self.run.retries);
        for (index, node) in self.run.nodes.iter().enumerate() {
            let tries = node.kind == NodeKind::Retry;
            let children = node.child_ixs().filter(|_| !tries);
            let mut children = children.filter_map(|child| self.run.status(child));
            let cut_short = children.any(|status| status == TaskStatus::Cancelled);
            assert!(
                node.status != TaskStatus::Succeeded || !cut_short,
                "succeeded over a cancelled task: {}",
                self.name(index)
            );
            let was = before.nodes.get(index).map(|node| node.status);
            // Below a group that waits for its turn again, ends of earlier generations stand
            // until the group goes on.
            let reopened = self.run.state.generation > 1;
            if was == Some(TaskStatus::Succeeded)
                || was.is_some_and(TaskStatus::terminal) && !reopened
            {
                assert_eq!(was, Some(node.status), "a final status changed: {}", self.name(index));
            }
        }
        if self.run.state.status.terminal() {
            assert!(self.live.is_empty(), "ended with live attempts {:?}", self.live);
            let locks = (self.wanted.is_empty(), self.held.is_empty());
            assert_eq!(locks, (true, true), "ended with locks");
            let open: Vec<String> = (0..self.run.nodes.len())
                .filter(|&index| !self.run.nodes[index].status.terminal())
                .map(|index| self.name(index))
                .collect();
            assert!(open.is_empty(), "ended with open tasks {open:?}");
        } else {
            let suspended = self.run.nodes.iter().any(|n| n.reason == Some(Reason::Suspended));
            let locked = !self.wanted.is_empty();
            let something = !self.live.is_empty() || !self.timers.is_empty() || suspended || locked;
            assert!(something, "nothing will ever happen again: {:#?}", self.story);
        }
    }

    fn name(&self, index: usize) -> String {
        let ix = NodeIx(u32::try_from(index).unwrap());
        self.run.name(&self.plan, ix).unwrap()
    }

    fn node(&self, name: &str) -> NodeIx {
        let row = self.rows.values().find(|row| row.shape.name == name);
        row.unwrap_or_else(|| panic!("no task {name}")).node
    }

    fn status(&self, name: &str) -> TaskStatus {
        self.rows[&self.node(name)].state.status
    }

    fn message(&self, node: NodeIx) -> Option<&str> {
        self.run.node(node).unwrap().message()
    }

    fn ask(&mut self, command: Command) -> Result<(), StepError> {
        self.feed(&Event::Asked(command))
    }

    /// The attempt of `name` starts and ends with this exit code.
    fn exit(&mut self, name: &str, code: i32) {
        let node = self.node(name);
        self.end_attempt(node, code).unwrap();
    }

    fn end_attempt(&mut self, node: NodeIx, code: i32) -> Result<(), StepError> {
        let number = self.live[&node];
        self.now.0 += 1;
        let at = self.now;
        let _started = self.feed(&Event::Started { node, number, at });
        let failure = (code != 0).then(|| Failure {
            class: FailureClass::User,
            reason: Reason::ExitCode,
            message: format!("exit code {code}"),
        });
        self.report(node, Report { failure, exit_code: Some(code), ..self.success() })
    }

    fn success(&self) -> Report {
        Report {
            started_at: Some(self.now),
            finished_at: self.now,
            exit_code: Some(0),
            failure: None,
            outputs: Vec::new(),
            artifacts: Vec::new(),
            result: None,
        }
    }

    fn report(&mut self, node: NodeIx, report: Report) -> Result<(), StepError> {
        let number = self.live.remove(&node).expect("a live attempt");
        self.stopping.remove(&node);
        self.feed(&Event::Finished { node, number, report: Box::new(report) })
    }

    fn class(
        &mut self,
        node: NodeIx,
        class: FailureClass,
        reason: Reason,
    ) -> Result<(), StepError> {
        let report = Report::failed(self.now, class, reason, reason.as_str().to_owned());
        self.report(node, report)
    }

    /// A daemon gets ready.
    fn ready(&mut self, node: NodeIx) -> Result<(), StepError> {
        let (number, at, ip) = (self.live[&node], self.now, "10.0.0.7".to_owned());
        self.feed(&Event::Ready { node, number, at, ip })
    }

    /// A daemon runs, and goes on until it is stopped.
    fn serves(&self, node: NodeIx) -> bool {
        self.run.node(node).unwrap().ready() && !self.stopping.contains(&node)
    }

    /// Ends everything that runs, as `code` says, until nothing runs any more but daemons that serve.
    fn run_out(&mut self, code: impl Fn(&str) -> i32) {
        while let Some(node) = self.live.keys().copied().find(|node| !self.serves(*node)) {
            if !self.stopping.contains(&node) && self.ready(node).is_ok() {
                continue;
            }
            if self.stopping.contains(&node) {
                self.class(node, FailureClass::Stopped, Reason::Stopped).unwrap();
            } else {
                let name = self.rows[&node].shape.name.clone();
                self.end_attempt(node, code(&name)).unwrap();
            }
        }
    }

    /// Lets the earliest timer go off.
    fn timer(&mut self) -> Result<(), StepError> {
        let ((node, timer), at) = self
            .timers
            .iter()
            .min_by_key(|(key, at)| (**at, **key))
            .map(|(k, a)| (*k, *a))
            .unwrap();
        self.now = self.now.max(at);
        self.timers.remove(&(node, timer));
        self.feed(&Event::TimerDue { node, timer })
    }

    fn workflow(&self) -> WorkflowStatus {
        self.run.state().status
    }

    fn told(&mut self) -> String {
        std::mem::take(&mut self.story).join("\n")
    }
}

/// A run as it can be compared: the order in which `parallelism` holds tasks, and counters of
/// nodes that have ended, are not kept in rows.
fn normal(mut run: Run) -> Run {
    let pending: Vec<bool> = run.nodes.iter().map(|n| n.status == TaskStatus::Pending).collect();
    for node in &mut run.nodes {
        if let Some(extra) = &mut node.extra {
            extra.held.retain(|held| pending[held.index()]);
            extra.held.make_contiguous().sort();
            if node.status.terminal() {
                extra.active = 0;
                extra.absent = 0;
                extra.held.clear();
            }
            if **extra == crate::node::Extra::default() {
                node.extra = None;
            }
        }
        if node.status != TaskStatus::Running && node.status != TaskStatus::Pending {
            node.waiting = 0;
        }
        if node.status != TaskStatus::Running {
            node.group = 0;
        }
    }
    run
}

/// A loop over `count` items.
fn repeated(task: Task, count: usize) -> Task {
    let items = (0..count).map(|n| Text::plain(&n.to_string())).collect();
    Task { repeat: Some(Box::new(Repeat::Items(items))), ..task }
}
