//! Users who submit while servers die: under a key, to one API server and then to the other, until one
//! says that it has it.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::GLANCE;
use super::members::Fleet;
use crate::bench::graphs;
use crate::chaos::{locks, witnessed};
use crate::client::Client;
use crate::roles;

/// Users, and what each has under way.
const USERS: usize = 3;
const UNDER_WAY: usize = 3;
/// A server that does not answer for so long is away.
const PATIENCE: Duration = Duration::from_secs(2);

/// What became of the submissions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Submitted {
    pub(super) acknowledged: usize,
    /// Sent again since no answer came.
    pub(super) repeated: usize,
    /// Answered with the workflow of an earlier request, whose answer was lost.
    pub(super) replayed: usize,
}

impl Submitted {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            acknowledged: self.acknowledged + other.acknowledged,
            repeated: self.repeated + other.repeated,
            replayed: self.replayed + other.replayed,
        }
    }
}

/// The API servers, as a client with a list of them sees them.
pub(super) struct Apis {
    endpoints: Vec<PathBuf>,
    turn: AtomicUsize,
    over: AtomicBool,
    gives_up: AtomicBool,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    submitted: Submitted,
    /// Ids of acknowledged workflows by their keys.
    ids: BTreeMap<String, String>,
    finished: usize,
    failed: Option<String>,
}

impl Apis {
    pub(super) fn new(fleet: &Fleet) -> Self {
        Self {
            endpoints: fleet.endpoints(),
            turn: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            gives_up: AtomicBool::new(false),
            told: Mutex::default(),
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing new is submitted.
    pub(super) fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Nothing is waited for any more.
    pub(super) fn give_up(&self) {
        self.stop();
        self.gives_up.store(true, Ordering::Relaxed);
    }

    pub(super) fn submitted(&self) -> Submitted {
        self.told().submitted
    }

    pub(super) fn finished(&self) -> usize {
        self.told().finished
    }

    pub(super) fn ids(&self) -> BTreeMap<String, String> {
        self.told().ids.clone()
    }

    /// An error of a user, as soon as there is one.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        self.told().failed.clone().map_or(Ok(()), |why| bail!("{why}"))
    }

    /// Whatever a user finds wrong ends the campaign at once.
    pub(super) fn watched(&self, user: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        user().inspect_err(|error| self.told().failed = Some(format!("{error:#}")))
    }

    /// The server whose turn it is.
    fn client(&self) -> Option<Client> {
        let turn = self.turn.load(Ordering::Relaxed) % self.endpoints.len();
        let client = roles::client(self.endpoints.get(turn)?)?;
        Some(client.patience(PATIENCE))
    }

    fn switch(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
        thread::sleep(GLANCE);
    }

    /// Submits until a server says that it has it; the workflow's id.
    pub(super) fn submit(&self, key: &str, kind: &str, document: &str) -> anyhow::Result<String> {
        loop {
            let answer = self.client().map(|client| client.submit_once(key, kind, document));
            match answer {
                Some(Ok((status @ (200 | 201), body))) => {
                    let answer: serde_json::Value =
                        serde_json::from_slice(&body).context("read the answer to a submission")?;
                    let id = answer["id"].as_str().context("an id")?.to_owned();
                    let mut told = self.told();
                    told.submitted.acknowledged += 1;
                    told.submitted.replayed += usize::from(status == 200);
                    told.ids.insert(key.to_owned(), id.clone());
                    return Ok(id);
                }
                Some(Ok((status, body))) if status < 500 && status != 429 => {
                    bail!("a submission: {status} {}", String::from_utf8_lossy(&body))
                }
                Some(_) => self.told().submitted.repeated += 1,
                None => {}
            }
            ensure!(!self.gives_up.load(Ordering::Relaxed), "nobody takes a submission in");
            self.switch();
        }
    }

    /// Whether a workflow has ended; a bad end is an error.
    pub(super) fn ended(&self, id: &str) -> anyhow::Result<bool> {
        let path = format!("/workflows/{id}");
        let Some(Ok(workflow)) = self.client().map(|client| client.json("GET", &path, "")) else {
            self.switch();
            return self.still_waits(id, "it cannot be asked for");
        };
        match workflow["status"].as_str().context("a status")? {
            "SUCCEEDED" => {
                self.told().finished += 1;
                Ok(true)
            }
            bad @ ("FAILED" | "CANCELLED") => {
                bail!("{id} is {bad}: {}", workflow["message"])
            }
            status => self.still_waits(id, status),
        }
    }

    fn still_waits(&self, id: &str, status: &str) -> anyhow::Result<bool> {
        ensure!(!self.gives_up.load(Ordering::Relaxed), "{id} does not end: {status}");
        Ok(false)
    }
}

/// Users who keep a fleet busy.
pub(super) struct Load {
    apis: Apis,
    /// Workflows whose tasks write the witness.
    witnessed: Mutex<Vec<String>>,
}

impl std::ops::Deref for Load {
    type Target = Apis;

    fn deref(&self) -> &Apis {
        &self.apis
    }
}

impl Load {
    pub(super) fn new(fleet: &Fleet) -> Self {
        Self { apis: Apis::new(fleet), witnessed: Mutex::default() }
    }

    pub(super) fn witnessed(&self) -> Vec<String> {
        self.witnessed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        witness: &Path,
    ) -> Vec<ScopedJoinHandle<'scope, anyhow::Result<()>>> {
        let user = |number: usize| {
            let witness = witness.to_path_buf();
            scope.spawn(move || self.apis.watched(|| self.use_it(number, &witness)))
        };
        (0..USERS).map(user).collect()
    }

    fn use_it(&self, user: usize, witness: &Path) -> anyhow::Result<()> {
        let kinds = [
            ("application/json", witnessed(witness, 20)?),
            ("application/json", graphs::document(&graphs::fan(40), "true")),
            ("application/yaml", locks::document(&witness.with_extension("locks"))),
        ];
        let mut under_way: VecDeque<String> = VecDeque::new();
        for (number, (kind, document)) in (0_usize..).zip(kinds.iter().cycle()) {
            if self.is_over() {
                break;
            }
            let id = self.submit(&format!("user-{user}-{number}"), kind, document)?;
            if number % kinds.len() == 0 {
                self.witnessed.lock().unwrap_or_else(PoisonError::into_inner).push(id.clone());
            }
            under_way.push_back(id);
            while under_way.len() >= UNDER_WAY {
                self.wait_for_first(&mut under_way)?;
            }
        }
        while !under_way.is_empty() {
            self.wait_for_first(&mut under_way)?;
        }
        Ok(())
    }

    fn wait_for_first(&self, under_way: &mut VecDeque<String>) -> anyhow::Result<()> {
        let Some(id) = under_way.pop_front() else { return Ok(()) };
        while !self.ended(&id)? {
            thread::sleep(GLANCE);
        }
        Ok(())
    }
}

/// Between asking again.
pub(super) fn pause(since: Instant) {
    let asked = Duration::from_millis(10);
    thread::sleep(asked.saturating_sub(since.elapsed()));
}
