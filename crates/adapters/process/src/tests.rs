//! Real processes. What may not be left to chance waits for facts, never for time.

mod daemons;
mod ending;
mod gangs;
mod logs;
mod outputs;
mod start;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowforge_model::artifact::{Artifact, Given, StageIn, StageOut};
use flowforge_model::attempt::{
    AttemptKey, Fact, FactKind, Failure, FailureClass, Main, OutputFile, Process, Report, Work,
    WorkOrder,
};
use flowforge_model::id::{EntityId, InstanceId, NodeIx, WorkflowId};
use flowforge_model::resources::Resources;
use flowforge_model::status::Reason;
use flowforge_model::time::Millis;
use flowforge_ports::artifacts::{ArtifactError, Artifacts};
use flowforge_ports::clock::SystemClock;
use flowforge_ports::logs::{LogCursor, LogLine, LogPage, LogQuery, LogStore, Stream};
use flowforge_ports::runner::{FactSink, Runner};

use crate::{DirectorySecrets, ProcessConfig, ProcessPorts, ProcessRunner};

/// Longer than anything here takes, so that a test that hangs ends.
const PATIENCE: Duration = Duration::from_secs(60);

struct Sink(Mutex<Sender<Fact>>);

impl FactSink for Sink {
    fn deliver(&self, fact: Fact) {
        self.0.lock().unwrap().send(fact).ok();
    }
}

#[derive(Default)]
struct Recorder(Mutex<Vec<LogLine>>);

impl LogStore for Recorder {
    fn append(&self, _: WorkflowId, lines: &[LogLine]) -> io::Result<()> {
        self.0.lock().unwrap().extend_from_slice(lines);
        Ok(())
    }
    fn read(&self, _: WorkflowId, _: &LogQuery, _: LogCursor, _: usize) -> io::Result<LogPage> {
        Ok(LogPage::default())
    }
    fn seal(&self, _: WorkflowId) -> io::Result<()> {
        Ok(())
    }
    fn delete(&self, _: WorkflowId) -> io::Result<()> {
        Ok(())
    }
}

struct NoArtifacts;

impl Artifacts for NoArtifacts {
    fn fetch(&self, _: &StageIn, _: &Path, _: &dyn Fn() -> bool) -> Result<bool, ArtifactError> {
        unreachable!("nothing here has artifacts")
    }
    fn keep(
        &self,
        _: &Path,
        _: &StageOut,
        _: &dyn Fn() -> bool,
    ) -> Result<Option<Artifact>, ArtifactError> {
        unreachable!("nothing here has artifacts")
    }
}

/// The one process of an order that [`Rig::order`] made.
fn main_of(order: &mut WorkOrder) -> &mut Process {
    let Work::Run(program) = &mut order.work else { panic!("a request") };
    let Main::One(process) = &mut program.main else { panic!("a container set") };
    process
}

fn text(value: &str) -> Given {
    Given::Text(value.to_owned())
}

struct Rig {
    runner: ProcessRunner,
    facts: Receiver<Fact>,
    logs: Arc<Recorder>,
    dir: tempfile::TempDir,
    workflow: WorkflowId,
    next: u32,
}

impl Rig {
    fn new(concurrency: usize) -> Self {
        Self::with(concurrency, Millis(300))
    }

    fn with(concurrency: usize, grace: Millis) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (sender, facts) = channel();
        let logs = Arc::new(Recorder::default());
        let config = ProcessConfig {
            work_dir: dir.path().join("work"),
            volumes_dir: dir.path().join("volumes"),
            helper: Vec::new(),
            images: vec![("acme/shell".to_owned(), vec!["sh".to_owned(), "-c".to_owned()])],
            concurrency,
            grace,
            instance: "01890a5d-ac96-774b-bcce-b302099a8058".parse::<InstanceId>().unwrap(),
            data_dir_id: dir.path().display().to_string(),
            api_endpoint: "http://127.0.0.1:1".to_owned(),
            log_endpoint: "http://127.0.0.1:2".to_owned(),
            tenant_id: "acme".to_owned(),
            project_id: "default".to_owned(),
            inherit_env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        };
        let ports = ProcessPorts {
            facts: Arc::new(Sink(Mutex::new(sender))),
            logs: Arc::<Recorder>::clone(&logs),
            clock: Arc::new(SystemClock),
            secrets: Arc::new(DirectorySecrets::new(dir.path().join("secrets"))),
            artifacts: Arc::new(NoArtifacts),
        };
        let runner = ProcessRunner::new(config, ports).unwrap();
        Self { runner, facts, logs, dir, workflow: workflow(), next: 0 }
    }

    fn order(&mut self, command: &[&str]) -> WorkOrder {
        self.next += 1;
        let workflow = self.workflow;
        let key = AttemptKey { workflow, node: NodeIx(self.next), number: 1 };
        WorkOrder {
            key,
            attempt: key.id(),
            task: workflow.task(key.node),
            project: EntityId::DEFAULT_PROJECT,
            workflow_name: "w".to_owned(),
            task_name: "a".to_owned(),
            template: "t".to_owned(),
            work: Work::one(Process {
                name: "main".to_owned(),
                image: "busybox".to_owned(),
                command: command.iter().map(|word| (*word).to_owned()).collect(),
                ..Process::default()
            }),
            resources: Resources::default(),
            volumes: Vec::new(),
            artifacts_in: Vec::new(),
            artifacts_out: Vec::new(),
            outputs: Vec::new(),
            deadline: None,
            daemon: None,
            pod: None,
            pod_patches: Vec::new(),
            pod_metadata: None,
        }
    }

    fn start(&self, order: &WorkOrder) {
        self.runner.start(Arc::new(order.clone()));
    }

    fn fact(&self) -> Fact {
        self.facts.recv_timeout(PATIENCE).unwrap()
    }

    fn finished(&self) -> Report {
        loop {
            if let FactKind::Finished(report) = self.fact().kind {
                return *report;
            }
        }
    }

    fn run(&self, order: &WorkOrder) -> Report {
        self.start(order);
        self.finished()
    }

    /// Runs a shell command line.
    fn sh(&mut self, line: &str) -> Report {
        let order = self.order(&["sh", "-c", line]);
        self.run(&order)
    }

    /// Waits until the running task says something.
    fn hear(&self, text: &str) {
        let end = std::time::Instant::now() + PATIENCE;
        while !self.texts(Stream::Stdout).iter().any(|line| line == text) {
            assert!(std::time::Instant::now() < end, "never heard {text}");
            std::thread::yield_now();
        }
    }

    fn texts(&self, stream: Stream) -> Vec<String> {
        let logs = self.logs.0.lock().unwrap();
        let lines = logs.iter().filter(|line| line.stream == stream);
        lines.map(|line| line.text.clone()).collect()
    }
}

/// Another one each time: attempts are told apart by their ids on the whole machine.
fn workflow() -> WorkflowId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let rig = NEXT.fetch_add(1, Ordering::SeqCst);
    let process = u64::from(std::process::id());
    let low = (process << 16) | rig;
    format!("01890a5d-ac96-774b-bcce-{low:012x}").parse().unwrap()
}

fn output(name: &str, path: &str) -> OutputFile {
    OutputFile { name: name.to_owned(), path: path.to_owned(), default: None }
}

fn failed(report: &Report) -> (FailureClass, Reason, &str) {
    let Failure { class, reason, message } = report.failure.as_ref().unwrap();
    (*class, *reason, message)
}

/// A killed process leaves its files first and the table of processes a moment later.
fn ends(pid: &str) {
    let end = std::time::Instant::now() + PATIENCE;
    while lives(pid) {
        assert!(std::time::Instant::now() < end, "{pid} lives");
        std::thread::yield_now();
    }
}

/// Whether a process of this number lives; a zombie does not.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim().starts_with('Z'))
}
