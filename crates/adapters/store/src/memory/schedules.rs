//! Schedules and their runs.

use flowforge_model::event::Command;
use flowforge_model::id::{EntityId, ScheduleId, WorkflowId};
use flowforge_model::time::Timestamp;
use flowforge_ports::schedules::{Firing, PutSchedule, ScheduleRow, ScheduleRun, Schedules};
use flowforge_ports::store::StoreError;

use super::{MemoryStore, Rows, page};
use crate::rules;

/// A schedule with its runs by fire time.
#[derive(Debug)]
pub(super) struct Scheduled {
    row: ScheduleRow,
    runs: std::collections::BTreeMap<Timestamp, WorkflowId>,
}

impl Schedules for MemoryStore {
    async fn put_schedule(&self, put: PutSchedule) -> Result<ScheduleRow, StoreError> {
        self.rows().put_schedule(put)
    }

    async fn schedule_named(
        &self,
        project: EntityId,
        name: String,
    ) -> Result<ScheduleRow, StoreError> {
        let rows = self.rows();
        let mut all = rows.schedules.values().map(|one| &one.row);
        let found = all.find(|row| row.project == project && row.name == name);
        found.cloned().ok_or(StoreError::NotFound)
    }

    async fn schedule(&self, id: ScheduleId) -> Result<ScheduleRow, StoreError> {
        let rows = self.rows();
        rows.schedules.get(&id).map(|one| one.row.clone()).ok_or(StoreError::NotFound)
    }

    async fn schedules(
        &self,
        project: Option<EntityId>,
        after: Option<ScheduleId>,
        limit: u32,
    ) -> Result<Vec<ScheduleRow>, StoreError> {
        let rows = self.rows();
        let all = rows.schedules.values().map(|one| &one.row);
        let wanted = all.filter(|row| {
            project.is_none_or(|project| project == row.project)
                && after.is_none_or(|after| row.id > after)
        });
        Ok(wanted.take(page(limit)).cloned().collect())
    }

    async fn delete_schedule(&self, id: ScheduleId) -> Result<(), StoreError> {
        self.rows().schedules.remove(&id).map(drop).ok_or(StoreError::NotFound)
    }

    async fn fire(&self, firing: Firing) -> Result<u64, StoreError> {
        self.rows().fire(firing)
    }

    async fn schedule_runs(
        &self,
        id: ScheduleId,
        limit: u32,
    ) -> Result<Vec<ScheduleRun>, StoreError> {
        let rows = self.rows();
        let runs = rows.schedules.get(&id).into_iter().flat_map(|one| one.runs.iter().rev());
        let shown = runs.take(page(limit)).map(|(at, workflow)| {
            let state = rows.workflows.get(workflow).map(|kept| &kept.state);
            ScheduleRun {
                at: *at,
                workflow: *workflow,
                status: state.map(|state| state.status),
                finished_at: state.and_then(|state| state.finished_at),
            }
        });
        Ok(shown.collect())
    }
}

impl Rows {
    fn put_schedule(&mut self, put: PutSchedule) -> Result<ScheduleRow, StoreError> {
        let Some(version) = put.replaces else {
            return self.create_schedule(put);
        };
        let row = self.schedules.get_mut(&put.id).map(|one| &mut one.row);
        let row = row.filter(|row| row.version == version).ok_or_else(rules::schedule_changed)?;
        row.document = put.document;
        row.suspended = put.suspended;
        row.state = put.state;
        row.next_at = put.next_at;
        row.updated_at = put.at;
        row.version = row.version.saturating_add(1);
        Ok(row.clone())
    }

    /// Of a project that takes nothing new: they would be refused for ever.
    pub(super) fn drop_schedules(&mut self, project: EntityId) {
        self.schedules.retain(|_, one| one.row.project != project);
    }

    fn create_schedule(&mut self, put: PutSchedule) -> Result<ScheduleRow, StoreError> {
        self.takes_work(put.project)?;
        let mut all = self.schedules.values().map(|one| &one.row);
        let taken = |row: &ScheduleRow| {
            row.id == put.id || (row.project == put.project && row.name == put.name)
        };
        if all.any(taken) {
            return Err(rules::schedule_exists(&put.name));
        }
        let row = ScheduleRow {
            id: put.id,
            namespace: self.namespace(put.project),
            project: put.project,
            name: put.name,
            document: put.document,
            suspended: put.suspended,
            state: put.state,
            next_at: put.next_at,
            problem: None,
            version: 1,
            created_at: put.at,
            updated_at: put.at,
        };
        let runs = std::collections::BTreeMap::new();
        self.schedules.insert(put.id, Scheduled { row: row.clone(), runs });
        Ok(row)
    }

    fn fire(&mut self, firing: Firing) -> Result<u64, StoreError> {
        // What can be refused is looked at before anything is written.
        let one = self.schedules.get(&firing.schedule).ok_or(StoreError::NotFound)?;
        if one.row.version != firing.version {
            return Err(rules::schedule_changed());
        }
        for (at, run) in &firing.runs {
            self.takes_work(run.project)?;
            let known = one.runs.get(at).is_some_and(|id| self.workflows.contains_key(id));
            let key = run.idempotency.as_ref().map(|(key, _)| key);
            let replayed = self.workflows.values().any(|kept| {
                key.is_some() && kept.new.idempotency.as_ref().map(|(key, _)| key) == key
            });
            if known || replayed || self.workflows.contains_key(&run.id) {
                return Err(rules::already_fired(*at));
            }
        }
        for run in firing.stop {
            match self.ask(run, Command::Terminate) {
                // It has ended, or is deleted: as wanted.
                Ok(()) | Err(StoreError::Refused(_) | StoreError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        let mut started = Vec::new();
        for (at, run) in firing.runs {
            started.push((at, self.insert(run)?.id));
        }
        let workflows = &self.workflows;
        let one = self.schedules.get_mut(&firing.schedule).ok_or(StoreError::NotFound)?;
        one.runs.retain(|_, run| workflows.contains_key(run));
        one.runs.extend(started);
        one.row.state = firing.state;
        one.row.next_at = firing.next_at;
        one.row.problem = firing.problem;
        one.row.version = one.row.version.saturating_add(1);
        Ok(one.row.version)
    }
}
