//! A runner with everything around it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flowforge_model::artifact::{Artifact, StageIn, StageOut};
use flowforge_model::attempt::{
    AttemptKey, Fact, FactKind, Failure, Main, OutputFile, Process, Report, Work, WorkOrder,
};
use flowforge_model::id::{EntityId, InstanceId, NodeIx, WorkflowId};
use flowforge_model::resources::Resources;
use flowforge_model::status::Reason;
use flowforge_model::time::Millis;
use flowforge_ports::artifacts::{ArtifactError, Artifacts};
use flowforge_ports::clock::SystemClock;
use flowforge_ports::logs::{LogCursor, LogLine, LogPage, LogQuery, LogStore, Stream};
use flowforge_ports::runner::{FactSink, Runner};
use flowforge_process::{DirectorySecrets, ProcessConfig, ProcessPorts, ProcessRunner};

/// Longer than anything here takes, so that a test that hangs ends.
const PATIENCE: Duration = Duration::from_secs(60);

struct Sink(Mutex<std::sync::mpsc::Sender<Fact>>);

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

/// Keeps whole files in memory by their names; a folder is the concatenation of its files.
#[derive(Default)]
pub(crate) struct Shelf(pub(crate) Mutex<BTreeMap<String, Vec<u8>>>);

impl Artifacts for Shelf {
    fn fetch(
        &self,
        input: &StageIn,
        to: &Path,
        _: &dyn Fn() -> bool,
    ) -> Result<bool, ArtifactError> {
        let Some(bytes) = self.0.lock().unwrap().get(&input.name).cloned() else {
            if input.optional {
                return Ok(false);
            }
            let message = format!("there is no {}", input.name);
            return Err(ArtifactError {
                reason: Reason::ArtifactMissing,
                transient: false,
                message,
            });
        };
        std::fs::write(to, bytes).unwrap();
        Ok(true)
    }

    fn keep(
        &self,
        from: &Path,
        output: &StageOut,
        _: &dyn Fn() -> bool,
    ) -> Result<Option<Artifact>, ArtifactError> {
        let mut bytes = Vec::new();
        if from.symlink_metadata().unwrap().is_dir() {
            let mut paths: Vec<PathBuf> =
                std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            for path in paths {
                bytes.extend(std::fs::read(path).unwrap());
            }
        } else {
            bytes = std::fs::read(from).unwrap();
        }
        self.0.lock().unwrap().insert(output.name.clone(), bytes);
        let (location, archive) = (output.location.clone(), output.archive);
        Ok(Some(Artifact { location, archive, sub_path: None }))
    }
}

pub(crate) struct Rig {
    pub(crate) runner: ProcessRunner,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) dir: tempfile::TempDir,
    facts: Receiver<Fact>,
    logs: Arc<Recorder>,
    workflow: WorkflowId,
    next: u32,
}

impl Rig {
    pub(crate) fn new(concurrency: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (sender, facts) = channel();
        let logs = Arc::new(Recorder::default());
        let shelf = Arc::new(Shelf::default());
        let config = ProcessConfig {
            work_dir: dir.path().join("work"),
            volumes_dir: dir.path().join("volumes"),
            helper: vec![env!("CARGO_BIN_EXE_ff-run").to_owned()],
            images: Vec::new(),
            concurrency,
            grace: Millis(300),
            instance: "01890a5d-ac96-774b-bcce-b302099a8058".parse::<InstanceId>().unwrap(),
            data_dir_id: dir.path().display().to_string(),
            api_endpoint: String::new(),
            log_endpoint: String::new(),
            tenant_id: "acme".to_owned(),
            project_id: "default".to_owned(),
            inherit_env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        };
        let ports = ProcessPorts {
            facts: Arc::new(Sink(Mutex::new(sender))),
            logs: Arc::<Recorder>::clone(&logs),
            clock: Arc::new(SystemClock),
            secrets: Arc::new(DirectorySecrets::new(dir.path().join("secrets"))),
            artifacts: Arc::<Shelf>::clone(&shelf),
        };
        let runner = ProcessRunner::new(config, ports).unwrap();
        Self { runner, shelf, dir, facts, logs, workflow: workflow(), next: 0 }
    }

    pub(crate) fn order(&mut self, work: Work) -> WorkOrder {
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
            work,
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

    /// A task that runs a shell command line and whose output `out` is the file at `path`.
    pub(crate) fn writes(&mut self, line: &str, path: &str) -> WorkOrder {
        let mut order = self.order(Work::one(sh("main", line)));
        order.outputs = vec![output("out", path)];
        order
    }

    pub(crate) fn start(&self, order: &WorkOrder) {
        self.runner.start(Arc::new(order.clone()));
    }

    pub(crate) fn finished(&self) -> (AttemptKey, Report) {
        loop {
            let fact = self.facts.recv_timeout(PATIENCE).unwrap();
            if let FactKind::Finished(report) = fact.kind {
                return (fact.key, *report);
            }
        }
    }

    pub(crate) fn run(&self, order: &WorkOrder) -> Report {
        self.start(order);
        self.finished().1
    }

    /// Waits until a running task says something.
    pub(crate) fn hear(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.texts().iter().any(|line| line == text) {
            assert!(Instant::now() < end, "never heard {text}");
            std::thread::yield_now();
        }
    }

    /// What tasks wrote to standard output.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.lines(Stream::Stdout)
    }

    /// What the runner says in the log.
    pub(crate) fn said(&self) -> Vec<String> {
        self.lines(Stream::System)
    }

    fn lines(&self, stream: Stream) -> Vec<String> {
        let logs = self.logs.0.lock().unwrap();
        let lines = logs.iter().filter(|line| line.stream == stream);
        lines.map(|line| line.text.clone()).collect()
    }

    /// What is left in the folder of attempts, by its own names.
    pub(crate) fn left(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path().join("work")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
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

pub(crate) fn sh(name: &str, line: &str) -> Process {
    Process {
        name: name.to_owned(),
        image: "debian".to_owned(),
        command: ["sh", "-c", line].map(str::to_owned).into(),
        ..Process::default()
    }
}

/// The one process of an order.
pub(crate) fn main_of(order: &mut WorkOrder) -> &mut Process {
    let Work::Run(program) = &mut order.work else { panic!("a request") };
    let Main::One(process) = &mut program.main else { panic!("a container set") };
    process
}

pub(crate) fn output(name: &str, path: &str) -> OutputFile {
    OutputFile { name: name.to_owned(), path: path.to_owned(), default: None }
}

/// The one output of a task that succeeded.
pub(crate) fn value(report: &Report) -> &str {
    assert_eq!(report.failure, None);
    &report.outputs.first().unwrap().1
}

pub(crate) fn failed(report: &Report) -> (Reason, &str) {
    let Failure { reason, message, .. } = report.failure.as_ref().unwrap();
    (*reason, message)
}

/// Waits until a process has ended: it leaves its files first, the table of processes later.
pub(crate) fn ends(pid: &str) {
    let end = Instant::now() + PATIENCE;
    while lives(pid) {
        assert!(Instant::now() < end, "{pid} lives");
        std::thread::yield_now();
    }
}

/// Whether a process of this number lives; a zombie does not.
pub(crate) fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim().starts_with('Z'))
}
