//! Workflows that are not kept any longer, and those that may be archived.
//!
//! Nothing is deleted here: retention asks for a workflow to be deleted, as a user would, and its
//! controller does it. Looks go by id, which is time: a workflow that was submitted within the
//! shortest span cannot have ended before it.

use flowforge_model::event::Command;
use flowforge_model::id::{EntityId, WorkflowId};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::store::StoreError;
use uuid::Uuid;

use super::PostgresStore;
use super::bind::{binds, long};
use super::codec::{self, get};
use super::load::read;
use super::transaction::Mode;
use crate::rules;

/// Workflows that are looked at in one page.
const PAGE: i64 = 500;

/// How long workflows are kept after they have ended. What a document says of the outcome
/// (`ttlStrategy`) counts first, then what the tenant says, then this; of each, the span of the
/// outcome before the one of any. None of them: for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// However it ended.
    pub completed: Option<Millis>,
    /// It succeeded.
    pub succeeded: Option<Millis>,
    /// It failed or was cancelled.
    pub failed: Option<Millis>,
}

/// A workflow that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndedWorkflow {
    /// Which.
    pub id: WorkflowId,
    /// Number of its last record.
    pub seq: u64,
}

/// Some of what is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndedPage {
    /// By id.
    pub workflows: Vec<EndedWorkflow>,
    /// Look on after this one; none: that was all.
    pub next: Option<WorkflowId>,
}

/// A page of ids first, so that the work is bounded whatever is found among them.
const EXPIRED: &str = "WITH page AS MATERIALIZED (SELECT id FROM workflow \
     WHERE ($1::uuid IS NULL OR id > $1) AND id < $2 ORDER BY id LIMIT $3) \
     SELECT w.id, w.seq, w.finished_at IS NOT NULL AND w.finished_at + CASE w.status \
     WHEN 'SUCCEEDED' THEN coalesce(t.retain_succeeded, t.retain_completed, $5, $4) \
     ELSE coalesce(t.retain_failed, t.retain_completed, $6, $4) END <= $7 \
     AND NOT EXISTS (SELECT 1 FROM timer m WHERE m.workflow = w.id) \
     AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.workflow = w.id) \
     FROM page JOIN workflow w USING (id) JOIN tenant t ON t.id = w.tenant ORDER BY w.id";

const SHORTEST: &str = "SELECT least(min(retain_completed), min(retain_succeeded), \
     min(retain_failed)) FROM tenant WHERE deleted_at IS NULL";

const ENDED: &str = "WITH page AS MATERIALIZED (SELECT id FROM workflow \
     WHERE ($1::uuid IS NULL OR id > $1) AND ($2::bigint IS NULL OR id < $3) \
     ORDER BY id LIMIT $4) \
     SELECT w.id, w.seq, w.finished_at IS NOT NULL AND ($2::bigint IS NULL OR w.finished_at < $2) \
     AND ($5::uuid IS NULL OR p.uid = $5) \
     FROM page JOIN workflow w USING (id) JOIN project p ON p.id = w.project ORDER BY w.id";

const GATES: &str =
    "SELECT 1 FROM gate WHERE workflow = ANY ($1) ORDER BY workflow FOR NO KEY UPDATE";

/// After the gates are locked: a retry that was asked for before is seen, one that comes later finds
/// the workflow gone.
const ASK: &str = "INSERT INTO intent (workflow, command, closes, asked_at) \
     SELECT w.id, $3, FALSE, $4 FROM unnest($1::uuid[], $2::bigint[]) AS u (id, seq) \
     JOIN workflow w ON w.id = u.id AND w.seq = u.seq WHERE w.finished_at IS NOT NULL \
     AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.workflow = w.id) RETURNING workflow";

const WAITING: &str = "SELECT count(*) FROM (SELECT 1 FROM intent LIMIT $1) few";

/// As PostgreSQL reads it, in UTC where it names no zone.
const UTC: &str = "SELECT set_config('TimeZone', 'UTC', TRUE)";
const MOMENT: &str = "SELECT floor(extract(epoch FROM $1::text::timestamptz) * 1000)::bigint";

impl PostgresStore {
    /// Ended workflows whose time is over at `now`, among the next ones after `after`. Those with a
    /// time to live of their own are not among them.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn expired(
        &self,
        kept: Retention,
        now: Timestamp,
        after: Option<WorkflowId>,
    ) -> Result<EndedPage, StoreError> {
        let millis = |span: Option<Millis>| span.map(|span| long(span.0)).transpose();
        let spans = [millis(kept.completed)?, millis(kept.succeeded)?, millis(kept.failed)?];
        self.read(Mode::Fresh, move |tx| {
            Box::pin(async move {
                let mut tx = tx;
                let rows = tx.rows(SHORTEST, binds![]).await?;
                let tenants: Option<i64> = rows.first().map_or(Ok(None), |row| get(row, 0))?;
                let Some(shortest) = spans.into_iter().flatten().chain(tenants).min() else {
                    return Ok(EndedPage::default());
                };
                let before = first_id(now.0.saturating_sub(shortest));
                let [completed, succeeded, failed] = spans;
                let after = after.map(|id| id.0);
                let values = binds![after, before, PAGE, completed, succeeded, failed, now.0];
                page(&tx.rows(EXPIRED, values).await?)
            })
        })
        .await
    }

    /// Workflows that ended before `before`, or at any time, of one project or of all, among the
    /// next ones after `after`.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn ended(
        &self,
        before: Option<Timestamp>,
        project: Option<EntityId>,
        after: Option<WorkflowId>,
    ) -> Result<EndedPage, StoreError> {
        self.read(Mode::Fresh, move |tx| {
            Box::pin(async move {
                let mut tx = tx;
                let at = before.map(|before| before.0);
                let bound = first_id(at.unwrap_or(0));
                let values = binds![after.map(|id| id.0), at, bound, PAGE, project.map(|id| id.0)];
                page(&tx.rows(ENDED, values).await?)
            })
        })
        .await
    }

    /// A moment as text, such as `2026-01-31` or `2026-01-31T12:00:00Z`; in UTC unless it names
    /// another zone.
    ///
    /// # Errors
    /// `Conflict` if it is none; `Unavailable`.
    pub async fn moment(&self, text: &str) -> Result<Timestamp, StoreError> {
        let text = text.to_owned();
        self.read(Mode::Fresh, move |tx| {
            Box::pin(async move {
                let mut tx = tx;
                tx.rows(UTC, binds![]).await?;
                let rows = tx.rows(MOMENT, binds![text]).await?;
                codec::time(rows.first().ok_or_else(|| codec::corrupt("no moment"))?, 0)
            })
        })
        .await
    }

    /// Asks for workflows to be deleted that have not changed since they were looked at; those that
    /// were asked for. The others were retried, or are gone.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn retire(
        &self,
        workflows: &[EndedWorkflow],
        at: Timestamp,
    ) -> Result<Vec<WorkflowId>, StoreError> {
        let ids: Vec<Uuid> = workflows.iter().map(|one| one.id.0).collect();
        let seqs: Vec<i64> = workflows.iter().map(|one| long(one.seq)).collect::<Result<_, _>>()?;
        debug_assert!(!rules::closes_gate(&Command::Delete), "or the gates are to be closed too");
        let command = codec::to_json(&Command::Delete)?;
        self.write(move |tx| {
            Box::pin(async move {
                let mut tx = tx;
                tx.rows(GATES, binds![ids.clone()]).await?;
                let asked = tx.rows(ASK, binds![ids, seqs, command, at.0]).await?;
                read(&asked, |row| codec::workflow_id(row, 0))
            })
        })
        .await
    }

    /// Intents that wait for controllers, counted up to `most`.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn waiting_intents(&self, most: u32) -> Result<u64, StoreError> {
        self.read(Mode::Fresh, move |tx| {
            Box::pin(async move {
                let mut tx = tx;
                let rows = tx.rows(WAITING, binds![i64::from(most)]).await?;
                rows.first().map_or(Ok(0), |row| codec::count(row, 0))
            })
        })
        .await
    }
}

/// The smallest id of a moment.
fn first_id(millis: i64) -> Uuid {
    let millis = u64::try_from(millis).unwrap_or(0).min((1 << 48) - 1);
    Uuid::from_u128(u128::from(millis) << 80)
}

fn page(rows: &[tokio_postgres::Row]) -> Result<EndedPage, StoreError> {
    let full = i64::try_from(rows.len()) == Ok(PAGE);
    let mut page = EndedPage::default();
    for row in rows {
        let one = EndedWorkflow { id: codec::workflow_id(row, 0)?, seq: codec::count(row, 1)? };
        page.next = full.then_some(one.id);
        // Null where nothing says how long: for ever.
        if get::<Option<bool>>(row, 2)? == Some(true) {
            page.workflows.push(one);
        }
    }
    Ok(page)
}
