//! A cluster that keeps objects as Kubernetes does: versions, lists in pages, watches, preconditions, the quota of
//! a namespace; with a node that knows the scripts of these tests. It errs when it is told to.

mod faults;
mod node;
mod server;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Condvar, MutexGuard};

use serde_json::{Value, json};

use super::*;
use faults::Course;
pub(super) use faults::{Faults, When};

/// A running fake. Its end is the end of its threads.
pub(super) struct Fake {
    pub(super) kubeconfig: tempfile::NamedTempFile,
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    state: Mutex<State>,
    /// Rings when the state has changed.
    changed: Condvar,
    /// Says that the client was cut off.
    crashed: watch::Sender<bool>,
}

/// Everything there is.
#[derive(Default)]
struct State {
    version: u64,
    /// By collection, as in a URL, and name.
    objects: BTreeMap<(String, String), Value>,
    /// What happened to pods, and what all pods were after it.
    history: Vec<Change>,
    /// Changes up to this version are forgotten.
    forgotten: u64,
    /// How often a pod was made for an attempt, and how often a container of one began.
    made: BTreeMap<String, u32>,
    ran: BTreeMap<String, u32>,
    /// How many requests were to change something.
    writes: u64,
    course: Course,
    /// The node does nothing.
    frozen: bool,
    over: bool,
}

struct Change {
    version: u64,
    kind: &'static str,
    pod: Value,
    after: Vec<Value>,
}

const NAMESPACES: &str = "/api/v1/namespaces";

impl Fake {
    pub(super) fn new() -> Self {
        Self::erring(Faults::default())
    }

    pub(super) fn erring(faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = State { course: Course::of(faults), ..State::default() };
        let (crashed, _) = watch::channel(false);
        let shared =
            Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), crashed });
        let (serving, running) = (Arc::clone(&shared), Arc::clone(&shared));
        std::thread::spawn(move || server::serve(&listener, &serving));
        std::thread::spawn(move || node::run(&running));
        let kubeconfig = scripted::kubeconfig(address);
        Self { kubeconfig, shared, address }
    }

    /// From now on these go wrong, counted from here.
    pub(super) fn err(&self, faults: Faults) {
        self.shared.lock().course = Course::of(faults);
    }

    /// How many requests were to change something.
    pub(super) fn writes(&self) -> u64 {
        self.shared.lock().writes
    }

    /// Waits until the client was cut off, which [`Faults::crash_at`] asks for.
    pub(super) async fn crashed(&self) {
        self.shared.crashed.subscribe().wait_for(|crashed| *crashed).await.expect("a fake");
    }

    /// Answers again.
    pub(super) fn recover(&self) {
        self.shared.lock().course.dead = false;
        self.shared.crashed.send_replace(false);
    }

    /// Whether what was to go wrong has done so.
    pub(super) fn has_erred(&self) -> bool {
        self.shared.lock().course.erred
    }

    /// Whether a client was cut off, now or before.
    pub(super) fn has_crashed(&self) -> bool {
        let course = &self.shared.lock().course;
        course.erred && course.faults.crash_at.is_some()
    }

    pub(super) fn pods(&self) -> usize {
        self.shared.lock().pods().len()
    }

    /// How many pods were made for an attempt, and how many containers began.
    pub(super) fn made_and_ran(&self, id: AttemptId) -> (u32, u32) {
        let state = self.shared.lock();
        let of = |counts: &BTreeMap<String, u32>| counts.get(&id.to_string()).copied();
        (of(&state.made).unwrap_or(0), of(&state.ran).unwrap_or(0))
    }

    /// The node does nothing any more.
    pub(super) fn freeze(&self) {
        self.shared.lock().frozen = true;
    }

    /// The node gives a pod up.
    pub(super) fn evict(&self, name: &str) {
        let mut state = self.shared.lock();
        let (at, mut pod) = state.pod_called(name);
        pod["status"]["phase"] = json!("Failed");
        pod["status"]["reason"] = json!("Evicted");
        pod["status"]["message"] = json!("the node was low on memory");
        state.put(&at, pod, "MODIFIED");
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_all();
        // Wakes the one that waits for connections.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_pod(at: &(String, String)) -> bool {
        at.0.ends_with("/pods")
    }

    fn pods(&self) -> Vec<Value> {
        let pods = self.objects.iter().filter(|(at, _)| Self::is_pod(at));
        pods.map(|(_, pod)| pod.clone()).collect()
    }

    fn pod_called(&self, name: &str) -> ((String, String), Value) {
        let found = self.objects.iter().find(|(at, _)| Self::is_pod(at) && at.1 == name);
        found.map(|(at, pod)| (at.clone(), pod.clone())).expect("a pod")
    }

    /// Writes an object in a new version.
    fn put(&mut self, at: &(String, String), mut object: Value, kind: &'static str) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(at.clone(), object.clone());
        self.remember(at, kind, &object);
        object
    }

    fn take(&mut self, at: &(String, String)) {
        let Some(mut object) = self.objects.remove(at) else { return };
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.remember(at, "DELETED", &object);
    }

    fn remember(&mut self, at: &(String, String), kind: &'static str, object: &Value) {
        if Self::is_pod(at) {
            let (version, after) = (self.version, self.pods());
            self.history.push(Change { version, kind, pod: object.clone(), after });
        }
    }
}

/// What a label selector of equalities selects.
fn selects(selector: &str, object: &Value) -> bool {
    let labels = &object["metadata"]["labels"];
    selector.split(',').filter(|one| !one.is_empty()).all(|one| {
        let (key, value) = one.split_once('=').expect("an equality");
        labels[key] == value
    })
}
