//! A server, the rows that controllers and schedulers would write, and pods.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use flowforge_artifacts::{Repository, Setup, Stores};
use flowforge_logstore::MemoryLogs;
use flowforge_model::attempt::{AttemptKey, FactKind, Process, Report, Work, WorkOrder};
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{EntityId, InstanceId, NodeIx, PodUid, WorkflowId};
use flowforge_model::resources::{Bytes, Resources};
use flowforge_model::shard::ShardSet;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::admission::{Ready, SlotChanges};
use flowforge_ports::claims::Claims as _;
use flowforge_ports::handover::{Call, Handover, Tidings};
use flowforge_ports::leases::{Attendance, Lease, Leases as _, Role};
use flowforge_ports::logs::{LogCursor, LogQuery, LogStore as _, Stream};
use flowforge_ports::pods::{Asking, Begin, Pods as _};
use flowforge_ports::reservations::{Placed, Reservations as _};
use flowforge_ports::store::{Commit, NewWorkflow, RunChanges, Store as _};
use flowforge_store::{MemoryStore, SqliteStore};
use flowforge_svc_api::{Api, ApiConfig, Hub, PodAccess, serve};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::tokens;

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const LONG: Millis = Millis(3_600_000);
const EXECUTOR: InstanceId = InstanceId(Uuid::from_u128(3));
const AT: Timestamp = Timestamp(1_000);

pub(crate) struct Rig {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) logs: Arc<MemoryLogs>,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) told: Arc<AtomicU32>,
    runtime: Runtime,
    running: Option<(oneshot::Sender<()>, JoinHandle<std::io::Result<()>>)>,
    workflow: WorkflowId,
    leases: Vec<Lease>,
    epoch: u64,
    nodes: u32,
}

/// A process of an order.
pub(crate) fn sh(script: &str) -> Process {
    Process {
        name: "main".to_owned(),
        image: "busybox".to_owned(),
        command: ["sh", "-c", script].map(str::to_owned).into(),
        ..Process::default()
    }
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Rig {
    /// A server that runs, and a workflow.
    pub(crate) fn new() -> Self {
        let mut rig = Self::down_yet();
        rig.up();
        rig
    }

    /// Its server is still away.
    pub(crate) fn down_yet() -> Self {
        let runtime = Runtime::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (store, logs) = (Arc::new(MemoryStore::default()), Arc::new(MemoryLogs::new()));
        let told = Arc::new(AtomicU32::new(0));
        // Taken for a moment, so that it is known where the server will be.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let workflow = WorkflowId(Uuid::now_v7());
        let (leases, epoch) = runtime.block_on(async {
            let attend = async |role, instance| {
                let said = Attendance::new(role, instance, LONG);
                let cluster = Some(ClusterName::default());
                store.attend(Attendance { capacity: 99, cluster, ..said }).await.unwrap().leases
            };
            let leases = attend(Role::Controller, InstanceId(Uuid::from_u128(1))).await;
            let epoch = attend(Role::Scheduler, InstanceId(Uuid::from_u128(2))).await[0].epoch;
            attend(Role::Executor, EXECUTOR).await;
            store.insert(new_workflow(workflow)).await.unwrap();
            store.put_cluster(tokens::cluster(&[0])).await.unwrap();
            (leases, epoch)
        });
        Self {
            store,
            logs,
            dir,
            address,
            told,
            runtime,
            running: None,
            workflow,
            leases,
            epoch,
            nodes: 0,
        }
    }

    /// A server as it is when it has just started.
    fn api(&self) -> Api {
        let mut config = ApiConfig::new("the-token".to_owned());
        config.limits.drain = Duration::from_millis(50);
        config.limits.body_timeout = Duration::from_millis(300);
        config.limits.artifact_bytes = MOST;
        let tell = Arc::clone(&self.told);
        let pods = PodAccess::new(
            Arc::clone(&self.store),
            Arc::<MemoryLogs>::clone(&self.logs),
            move |_| {
                tell.fetch_add(1, Ordering::SeqCst);
            },
        );
        config.pods = Some(pods);
        let repository = Repository::Directory(self.kept(""));
        let setup = Setup::alone(repository, self.path("scratch"));
        config.artifacts = Some(Arc::new(Stores::open(setup).unwrap()));
        let rest = Arc::new(SqliteStore::open(&self.path("flowforge.db")).unwrap());
        Api::new(rest, Arc::clone(&self.logs), Hub::default(), config)
    }

    pub(crate) fn up(&mut self) {
        let listener = self.runtime.block_on(TcpListener::bind(self.address)).unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async move { drop(stopped.await) };
        let serving = self.runtime.spawn(serve(listener, self.api(), stopped));
        self.running = Some((stop, serving));
    }

    /// Nothing is answered any more when this returns.
    pub(crate) fn down(&mut self) {
        let (stop, serving) = self.running.take().unwrap();
        stop.send(()).unwrap();
        self.runtime.block_on(serving).unwrap().unwrap();
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// An attempt that an executor has claimed.
    pub(crate) fn attempt(&mut self, process: Process) -> AttemptKey {
        self.attempt_of(|order| order.work = Work::one(process))
    }

    pub(crate) fn attempt_of(&mut self, change: impl FnOnce(&mut WorkOrder)) -> AttemptKey {
        let key = AttemptKey { workflow: self.workflow, node: NodeIx(self.nodes), number: 1 };
        self.nodes += 1;
        let mut order = order(key);
        change(&mut order);
        let mut commit = self.commit(RunChanges { runnable: vec![key], ..RunChanges::default() });
        let handover = commit.handover.as_deref_mut().unwrap();
        handover.calls.push(Call::Offer(ready(key)));
        handover.orders.push((key, Ok(order)));
        self.block_on(self.store.commit(commit)).unwrap();
        let (keys, slots) = ([key], SlotChanges::new());
        let placed = [Placed { key, cluster: Some(ClusterName::default()) }];
        let reserved = self.block_on(self.store.reserve(self.epoch, AT, &placed, &slots));
        assert_eq!(reserved.unwrap().admitted, keys);
        let claimed = self.block_on(self.store.claim(EXECUTOR, AT, &keys)).unwrap();
        assert_eq!(claimed.len(), 1);
        key
    }

    /// The controller has taken its end for true.
    pub(crate) fn end(&self, key: AttemptKey) {
        let report = Report { finished_at: AT, ..empty_report() };
        let run = RunChanges { ended: vec![(key, report)], ..RunChanges::default() };
        self.block_on(self.store.commit(self.commit(run))).unwrap();
    }

    /// Somebody wants it stopped.
    pub(crate) fn stop(&self, key: AttemptKey) {
        let mut commit = self.commit(RunChanges::default());
        commit.handover.as_deref_mut().unwrap().stops = vec![key];
        self.block_on(self.store.commit(commit)).unwrap();
    }

    fn commit(&self, run: RunChanges) -> Commit {
        let shard = self.workflow.shard().number();
        let leases = self.leases.iter().copied().filter(|lease| lease.slot == shard).collect();
        let handover = Some(Box::new(Handover { leases, ..Handover::default() }));
        let runs = vec![RunChanges { workflow: Some(self.workflow), ..run }];
        Commit { at: AT, runs, handover, ..Commit::default() }
    }

    /// What controllers are told of an attempt: whether it began, and how it ended.
    pub(crate) fn facts(&self, key: AttemptKey) -> (bool, Vec<Report>) {
        let news = self.block_on(self.store.news(ShardSet::ALL, 999)).unwrap();
        let (mut began, mut ends) = (false, Vec::new());
        for news in news {
            match news.what {
                Tidings::Fact(fact) if fact.key == key => match fact.kind {
                    FactKind::Started(_) => began = true,
                    FactKind::Ready { .. } => {}
                    FactKind::Finished(report) => ends.push(*report),
                },
                _ => {}
            }
        }
        (began, ends)
    }

    /// How an attempt ended, by its only report.
    #[track_caller]
    pub(crate) fn report(&self, key: AttemptKey) -> Report {
        let (began, mut ends) = self.facts(key);
        assert!(began);
        assert_eq!(ends.len(), 1, "{ends:?}");
        ends.remove(0)
    }

    /// What an attempt has printed to a stream.
    pub(crate) fn lines(&self, key: AttemptKey, stream: Stream) -> Vec<String> {
        let query = LogQuery { nodes: vec![key.node], stream: Some(stream), ..LogQuery::default() };
        let page = self.logs.read(key.workflow, &query, LogCursor(0), usize::MAX).unwrap();
        page.lines.into_iter().map(|(_, line)| line.text).collect()
    }

    /// A path in the rig's own directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where the server keeps what has a key.
    pub(crate) fn kept(&self, key: &str) -> PathBuf {
        self.path("kept").join(key)
    }

    /// Lets everybody write where pods do, as volumes of pods do.
    pub(crate) fn open_up(&self) {
        let to = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        to(self.dir.path(), 0o755);
        for entry in std::fs::read_dir(self.dir.path()).unwrap().map(Result::unwrap) {
            to(&entry.path(), 0o777);
        }
    }

    /// A pod of an attempt in two containers: one fetches, then the other runs.
    pub(crate) fn pod_with_inputs(&self, key: AttemptKey) -> (Pod, Pod) {
        let main = self.pod(key);
        let mut fetch = Command::new(env!("CARGO_BIN_EXE_ff-run"));
        let env = main.command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        fetch.arg("fetch").env_clear().envs(env).current_dir(&main.dir);
        let dir = main.dir.join("fetch");
        std::fs::create_dir(&dir).unwrap();
        fetch.env("FLOWFORGE_INPUTS", main.dir.join("inputs"));
        fetch.env("FLOWFORGE_TERMINATION_LOG", dir.join("end"));
        fetch.stdin(Stdio::null()).stdout(File::create(dir.join("stdout")).unwrap());
        fetch.stderr(File::create(dir.join("stderr")).unwrap());
        (Pod { command: fetch, dir }, main)
    }

    /// A pod of an attempt, which is not started yet.
    pub(crate) fn pod(&self, key: AttemptKey) -> Pod {
        let uid = PodUid(Uuid::now_v7());
        self.pod_with(key, uid, &tokens::token(key, uid))
    }

    pub(crate) fn pod_with(&self, key: AttemptKey, uid: PodUid, token: &str) -> Pod {
        let dir = self.path(&uid.to_string());
        std::fs::create_dir(&dir).unwrap();
        self.container(key, (uid, token), (&dir, &dir))
    }

    /// The pod of a member of a gang, which is not started yet.
    pub(crate) fn member(&self, key: AttemptKey, index: u32) -> Pod {
        let uid = PodUid(Uuid::now_v7());
        let pod = self.pod_with(key, uid, &tokens::token_of(key, index, uid));
        let index = index.to_string();
        pod.env("FLOWFORGE_MEMBER", &index).env("FLOWFORGE_GANG_INDEX", &index)
    }

    /// Whether a member's pod has asked whether it may begin.
    pub(crate) fn has_asked(&self, key: AttemptKey, pod: &Running) -> bool {
        let uid = pod.dir.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let answer = self.block_on(self.store.begin(Asking::begun(uid), key, AT)).unwrap();
        matches!(answer, Begin::Run(_))
    }

    /// The containers of a pod, none of which is started yet: they share the volume `/flowforge`.
    pub(crate) fn containers(&self, key: AttemptKey, names: &[&str]) -> Vec<Pod> {
        let uid = PodUid(Uuid::now_v7());
        let shared = self.path(&uid.to_string());
        std::fs::create_dir(&shared).unwrap();
        let token = tokens::token(key, uid);
        let one = |name: &&str| {
            let dir = self.path(&format!("{uid}-{name}"));
            std::fs::create_dir(&dir).unwrap();
            self.container(key, (uid, &token), (&dir, &shared)).env("FLOWFORGE_CONTAINER", name)
        };
        names.iter().map(one).collect()
    }

    fn container(
        &self,
        key: AttemptKey,
        (uid, token): (PodUid, &str),
        (dir, shared): (&Path, &Path),
    ) -> Pod {
        std::fs::write(dir.join("token"), format!("{token}\n")).unwrap();
        let mut command = Command::new("sh");
        let attempt = format!("{}/{}/{}", key.workflow, key.node.0, key.number);
        command
            .args([
                "-c",
                "umask ${MASK:-022}; exec \"$0\" \"${MODE:-pod}\"",
                env!("CARGO_BIN_EXE_ff-run"),
            ])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("FLOWFORGE_API_ENDPOINT", format!("http://{}", self.address))
            .env("FLOWFORGE_ATTEMPT", attempt)
            .env("FLOWFORGE_POD_UID", uid.to_string())
            .env("FLOWFORGE_TOKEN_FILE", dir.join("token"))
            .env("FLOWFORGE_DIR", shared)
            .env("FLOWFORGE_TERMINATION_LOG", dir.join("end"))
            .env("FLOWFORGE_START_WAIT", "60")
            .env("FLOWFORGE_REPORT_WAIT", "60")
            .current_dir(dir)
            .stdin(Stdio::null())
            // As a runtime does, these take whatever comes.
            .stdout(File::create(dir.join("stdout")).unwrap())
            .stderr(File::create(dir.join("stderr")).unwrap());
        Pod { command, dir: dir.to_owned() }
    }

    /// Runs an attempt in a pod to its end.
    pub(crate) fn run(&self, key: AttemptKey) -> Done {
        self.pod(key).start().wait()
    }

    /// Asks the server something about an attempt.
    pub(crate) fn ask(
        &self,
        key: AttemptKey,
        what: &str,
        token: &str,
        body: &Value,
    ) -> (u16, Value) {
        self.send(key, what, token, body.to_string().as_bytes())
    }

    pub(crate) fn send(
        &self,
        key: AttemptKey,
        what: &str,
        token: &str,
        body: &[u8],
    ) -> (u16, Value) {
        let url = self.url(key, what);
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let request = config.new_agent().post(url).content_type("application/json");
        let request = request.header("authorization", format!("Bearer {token}"));
        let answer = request.send(body).unwrap();
        let status = answer.status().as_u16();
        let text = answer.into_body().read_to_string().unwrap();
        (status, serde_json::from_str(&text).unwrap())
    }
}

/// Bytes that the server takes of one artifact.
pub(crate) const MOST: u64 = 300 * 1024 * 1024;

impl Rig {
    pub(crate) fn url(&self, key: AttemptKey, what: &str) -> String {
        let AttemptKey { workflow, node, number } = key;
        let (address, node) = (self.address, node.0);
        format!("http://{address}/internal/v1/attempts/{workflow}/{node}/{number}/{what}")
    }

    /// Begins as a pod does. Gives the attempt's token.
    pub(crate) fn begin(&self, key: AttemptKey) -> String {
        let uid = PodUid(Uuid::now_v7());
        let asked = serde_json::json!({ "pod": uid });
        let (status, started) = self.ask(key, "start", &tokens::token(key, uid), &asked);
        assert_eq!(status, 200, "{started}");
        started["token"].as_str().unwrap().to_owned()
    }

    /// Sends an artifact. The status, and the code of a problem.
    pub(crate) fn put(
        &self,
        key: AttemptKey,
        what: &str,
        token: &str,
        body: &[u8],
    ) -> (u16, Option<String>) {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let request = config.new_agent().put(self.url(key, what));
        let request = request.header("authorization", format!("Bearer {token}"));
        let answer = request.header("expect", "100-continue").send(body).unwrap();
        let status = answer.status().as_u16();
        let text = answer.into_body().read_to_string().unwrap();
        let problem: Value = serde_json::from_str(&text).unwrap_or_default();
        (status, problem["code"].as_str().map(str::to_owned))
    }

    /// Fetches an artifact.
    pub(crate) fn get(&self, key: AttemptKey, what: &str, token: &str) -> (u16, Vec<u8>) {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let request = config.new_agent().get(self.url(key, what));
        let answer = request.header("authorization", format!("Bearer {token}")).call().unwrap();
        (answer.status().as_u16(), answer.into_body().read_to_vec().unwrap())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.down();
        }
    }
}

/// A pod.
pub(crate) struct Pod {
    pub(crate) command: Command,
    pub(crate) dir: PathBuf,
}

/// One that runs.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) dir: PathBuf,
}

/// One that has ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    /// The termination message.
    pub(crate) message: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Pod {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Its processes are of this user, where the test is one of root.
    pub(crate) fn of(mut self, user: u32) -> Self {
        if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
            self.command.uid(user).gid(user);
        }
        self
    }

    /// What is in it is beside a task.
    pub(crate) fn sidecar(self) -> Self {
        self.env("MODE", "sidecar")
    }

    pub(crate) fn start(mut self) -> Running {
        Running { child: self.command.spawn().unwrap(), dir: self.dir }
    }
}

impl Running {
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let done = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(done.success());
    }

    pub(crate) fn wait(mut self) -> Done {
        let code = self.child.wait().unwrap().code();
        let text = |name: &str| std::fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        Done { code, message: text("end"), stdout: text("stdout"), stderr: text("stderr") }
    }
}

pub(crate) fn empty_report() -> Report {
    serde_json::from_str(r#"{"finished_at": 5}"#).unwrap()
}

fn new_workflow(id: WorkflowId) -> NewWorkflow {
    NewWorkflow {
        id,
        project: EntityId::DEFAULT_PROJECT,
        name: "w".to_owned(),
        description: String::new(),
        document: "entrypoint: main\n".to_owned(),
        parameters: Vec::new(),
        labels: Vec::new(),
        priority: 0,
        submitted_by: "ada".to_owned(),
        storage: Bytes(0),
        resubmitted_from: None,
        at: AT,
        idempotency: None,
        parent: None,
    }
}

fn ready(key: AttemptKey) -> Ready {
    Ready {
        key,
        priority: 0,
        since: AT,
        project: EntityId::DEFAULT_PROJECT,
        requests: Resources::default().requests,
        limits: Resources::default().limits,
        pods: 1,
        storage: Bytes(0),
        parallelism: None,
        lasts: None,
        retry: false,
        template: None,
        called: false,
    }
}

fn order(key: AttemptKey) -> WorkOrder {
    WorkOrder {
        key,
        attempt: key.id(),
        task: key.workflow.task(key.node),
        project: EntityId::DEFAULT_PROJECT,
        workflow_name: "w".to_owned(),
        task_name: "a.b".to_owned(),
        template: "a".to_owned(),
        work: Work::one(sh("true")),
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
