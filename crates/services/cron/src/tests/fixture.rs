//! A store with one schedule, and the loop over it.

use std::sync::Arc;

use flowforge_cron::ScheduleState;
use flowforge_model::event::{Command, Record, WorkflowState};
use flowforge_model::id::{EntityId, InstanceId, ScheduleId, WorkflowId};
use flowforge_model::shard::ShardSet;
use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::Timestamp;
use flowforge_ports::schedules::{PutSchedule, ScheduleRow, Schedules};
use flowforge_ports::store::{Commit, RunChanges, Store};
use flowforge_ports::templates::Templates;
use uuid::Uuid;

use crate::{Config, Cron, News, Turned};

/// 2023-11-14T22:13:00Z: a full minute.
pub(crate) const START: Timestamp = Timestamp(1_699_999_980_000);

pub(crate) const DOCUMENT: &str = r#"version: "1.0"
name: nightly
schedule:
  cron: "* * * * *"
  keep: {succeeded: 2, failed: 1}
  concurrency: allow
workflow:
  entrypoint: main
  priority: 4
  labels: {team: data}
  templates:
    main:
      container: {image: busybox, command: ["true"]}
"#;

pub(crate) struct World<S> {
    pub(crate) store: Arc<S>,
    pub(crate) id: ScheduleId,
    cron: Cron<S>,
}

impl<S: Store + Schedules + Templates> World<S> {
    /// A store with this schedule, created at [`START`].
    pub(crate) async fn new(store: S, document: &str) -> Self {
        let id = ScheduleId(Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_0000_0000_0001));
        let state = serde_json::to_string(&ScheduleState::new(START)).unwrap();
        let put = PutSchedule {
            id,
            project: EntityId::DEFAULT_PROJECT,
            name: "nightly".into(),
            document: document.into(),
            suspended: false,
            state,
            next_at: None,
            at: START,
            replaces: None,
        };
        store.put_schedule(put).await.unwrap();
        let store = Arc::new(store);
        let cron = Cron::start(Arc::clone(&store), Config::default()).await.unwrap();
        Self { store, id, cron }
    }

    /// The process is gone; the next one opens the database again.
    pub(crate) async fn restart(&mut self, store: S) {
        self.store = Arc::new(store);
        self.cron = Cron::start(Arc::clone(&self.store), Config::default()).await.unwrap();
    }

    pub(crate) async fn turn(&mut self, now: Timestamp) -> Turned {
        self.cron.turn(Vec::new(), now).await
    }

    pub(crate) async fn news(&mut self, news: Vec<News>, now: Timestamp) -> Turned {
        self.cron.turn(news, now).await
    }

    pub(crate) async fn row(&self) -> ScheduleRow {
        self.store.schedule(self.id).await.unwrap()
    }

    pub(crate) async fn state(&self) -> ScheduleState {
        serde_json::from_str(&self.row().await.state).unwrap()
    }

    /// What would write the schedule as it is.
    pub(crate) async fn as_put(&self) -> PutSchedule {
        let row = self.row().await;
        PutSchedule {
            id: row.id,
            project: row.project,
            name: row.name,
            document: row.document,
            suspended: row.suspended,
            state: row.state,
            next_at: row.next_at,
            at: START,
            replaces: Some(row.version),
        }
    }

    pub(crate) async fn put(&self, change: impl FnOnce(&mut PutSchedule)) {
        let mut put = self.as_put().await;
        change(&mut put);
        self.store.put_schedule(put).await.unwrap();
    }

    /// A workflow ends, as the controller writes it.
    pub(crate) async fn end(&self, id: WorkflowId, status: WorkflowStatus, at: Timestamp) {
        let instance = InstanceId(Uuid::from_u128(7));
        let epoch = self.store.take_over(instance).await.unwrap();
        let state = WorkflowState {
            status,
            generation: 1,
            started_at: Some(at),
            finished_at: Some(at),
            ..WorkflowState::default()
        };
        let changes = RunChanges {
            workflow: Some(id),
            state: Some(state),
            records: vec![Record::Workflow { status, reason: None, message: None, generation: 1 }],
            ..RunChanges::default()
        };
        let commit = Commit { epoch, at, runs: vec![changes], ..Commit::default() };
        self.store.commit(commit).await.unwrap();
    }

    /// Workflows that were asked to be deleted, in order.
    pub(crate) async fn deleted(&self) -> Vec<WorkflowId> {
        let intents = self.store.intents(ShardSet::ALL, 0, 1000).await.unwrap();
        let wanted = intents.iter().filter(|one| one.command == Some(Command::Delete));
        let mut ids: Vec<WorkflowId> = wanted.map(|one| one.workflow).collect();
        ids.sort_unstable();
        ids
    }
}
