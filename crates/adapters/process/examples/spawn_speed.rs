//! How much the runner adds to a bare spawn: `spawn_speed N CONCURRENCY [FF_RUN]` runs `true` N
//! times through the runner and N times by itself, in turns, with the same number of threads. With
//! the path of `ff-run` it does so too for tasks that have paths of their own.

#![expect(clippy::print_stdout, reason = "prints its result")]

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use flowforge_model::artifact::{Artifact, StageIn, StageOut};
use flowforge_model::attempt::{AttemptKey, Fact, FactKind, OutputFile, Process, Work, WorkOrder};
use flowforge_model::id::{EntityId, InstanceId, NodeIx, WorkflowId};
use flowforge_model::resources::Resources;
use flowforge_model::status::Reason;
use flowforge_model::time::Millis;
use flowforge_ports::artifacts::{ArtifactError, Artifacts};
use flowforge_ports::clock::SystemClock;
use flowforge_ports::logs::{LogCursor, LogLine, LogPage, LogQuery, LogStore};
use flowforge_ports::runner::Runner;
use flowforge_process::{DirectorySecrets, ProcessConfig, ProcessPorts, ProcessRunner};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const ROUNDS: u32 = 3;

struct NoLogs;

impl LogStore for NoLogs {
    fn append(&self, _: WorkflowId, _: &[LogLine]) -> io::Result<()> {
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

impl NoArtifacts {
    fn none() -> ArtifactError {
        let message = "there are none".to_owned();
        ArtifactError { reason: Reason::ArtifactStore, transient: false, message }
    }
}

impl Artifacts for NoArtifacts {
    fn fetch(&self, _: &StageIn, _: &Path, _: &dyn Fn() -> bool) -> Result<bool, ArtifactError> {
        Err(Self::none())
    }
    fn keep(
        &self,
        _: &Path,
        _: &StageOut,
        _: &dyn Fn() -> bool,
    ) -> Result<Option<Artifact>, ArtifactError> {
        Err(Self::none())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let tasks: u32 = args.next().map_or(Ok(5000), |text| text.parse())?;
    let concurrency: usize = args.next().map_or(Ok(8), |text| text.parse())?;
    let helper = args.next();
    println!(
        "round  bare/s  runner/s  ratio  mapped/s   ({tasks} x /bin/true, {concurrency} at a time)"
    );
    for round in 1..=ROUNDS {
        let bare = bare(tasks, concurrency)?;
        let ours = runner(tasks, (concurrency, None), round)?;
        let mapped = match &helper {
            Some(helper) => runner(tasks, (concurrency, Some(helper)), round)?,
            None => 0.0,
        };
        println!("{round:>5}  {bare:>6.0}  {ours:>8.0}  {:.3}  {mapped:>8.0}", ours / bare);
    }
    Ok(())
}

fn bare(tasks: u32, threads: usize) -> io::Result<f64> {
    let next = AtomicUsize::new(0);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let work = || -> io::Result<()> {
            while next.fetch_add(1, Ordering::Relaxed) < tasks as usize {
                let mut command = Command::new("/bin/true");
                command.stdin(Stdio::null()).env_clear();
                command.spawn()?.wait()?;
            }
            Ok(())
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().map_err(|_| io::Error::other("a thread broke"))??;
        }
        io::Result::Ok(())
    })?;
    Ok(f64::from(tasks) / begin.elapsed().as_secs_f64())
}

fn runner(
    tasks: u32,
    (concurrency, helper): (usize, Option<&String>),
    round: u32,
) -> Result<f64, Box<dyn std::error::Error>> {
    let work_dir: PathBuf =
        std::env::temp_dir().join(format!("spawn-speed-{}", std::process::id()));
    let config = ProcessConfig {
        work_dir: work_dir.clone(),
        volumes_dir: work_dir.join("volumes"),
        helper: helper.into_iter().cloned().collect(),
        images: Vec::new(),
        concurrency,
        grace: Millis::from_secs(10),
        instance: ID.parse::<InstanceId>()?,
        data_dir_id: format!("spawn-speed-{}", std::process::id()),
        api_endpoint: String::new(),
        log_endpoint: String::new(),
        tenant_id: "default".to_owned(),
        project_id: "default".to_owned(),
        inherit_env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
    };
    let (sender, facts) = channel();
    let sender = Mutex::new(sender);
    let sink = move |fact: Fact| {
        if let Ok(sender) = sender.lock() {
            sender.send(fact).ok();
        }
    };
    let ports = ProcessPorts {
        facts: Arc::new(sink),
        logs: Arc::new(NoLogs),
        clock: Arc::new(SystemClock),
        secrets: Arc::new(DirectorySecrets::new(work_dir.join("secrets"))),
        artifacts: Arc::new(NoArtifacts),
    };
    let runner = ProcessRunner::new(config, ports)?;
    let workflow: WorkflowId = ID.parse()?;
    let begin = Instant::now();
    for n in 0..tasks {
        runner.start(Arc::new(order(workflow, n, round, helper.is_some())));
    }
    let mut finished = 0;
    while finished < tasks {
        if let FactKind::Finished(report) = facts.recv()?.kind {
            if let Some(failure) = report.failure {
                return Err(failure.message.into());
            }
            finished += 1;
        }
    }
    let rate = f64::from(tasks) / begin.elapsed().as_secs_f64();
    drop(runner);
    std::fs::remove_dir_all(work_dir)?;
    Ok(rate)
}

fn order(workflow: WorkflowId, node: u32, number: u32, mapped: bool) -> WorkOrder {
    let output = OutputFile {
        name: "out".to_owned(),
        path: "/tmp/out".to_owned(),
        default: Some(String::new()),
    };
    let key = AttemptKey { workflow, node: NodeIx(node), number };
    WorkOrder {
        key,
        attempt: key.id(),
        task: workflow.task(key.node),
        project: EntityId::DEFAULT_PROJECT,
        workflow_name: "w".to_owned(),
        task_name: "a".to_owned(),
        template: "a".to_owned(),
        work: Work::one(Process {
            name: "main".to_owned(),
            image: "busybox".to_owned(),
            command: vec!["true".to_owned()],
            ..Process::default()
        }),
        resources: Resources::default(),
        volumes: Vec::new(),
        artifacts_in: Vec::new(),
        artifacts_out: Vec::new(),
        outputs: if mapped { vec![output] } else { Vec::new() },
        deadline: None,
        daemon: None,
        pod: None,
        pod_patches: Vec::new(),
        pod_metadata: None,
    }
}
