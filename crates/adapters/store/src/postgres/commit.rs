//! One turn of the controller in one transaction, in two flights: all statements at once, and
//! `COMMIT` once their answers are good. A table is written once per commit, not once per row.

mod children;
mod kept;
mod queue;
mod tasks;
mod workflows;

use std::collections::BTreeSet;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{InstanceId, WorkflowId};
use flowforge_ports::admission::SlotChanges;
use flowforge_ports::store::{Commit, Committed, StoreError};
use uuid::Uuid;

use super::bind::{Bound, binds, long};
use super::codec;
use super::connection::Answer;
use super::load::read;
use super::roles::handover;
use super::transaction::Tx;
use super::usage;
use crate::rules;

/// The only shard there is until several controllers share a database.
const SHARD: i16 = 0;
/// Rows of the outbox that are kept: a follower that is further behind reads the tables anew.
const OUTBOX_ROWS: i64 = 10_000;
/// The outbox is cut once in so many commits.
const OUTBOX_CUT_EVERY: i64 = 1000;

/// Nobody holds a shard any more: this controller takes the whole store.
const TAKE_SHARDS: &str = "UPDATE lease SET epoch = epoch + 1 WHERE role = 'controller'";
const DROP_SHARDS: &str =
    "UPDATE holding SET holder = NULL, until = NULL WHERE role = 'controller'";

/// Waits for the commits under way, which hold the row in share mode, and fences all later ones.
const TAKE_OVER: &str =
    "UPDATE controller SET epoch = epoch + 1, instance = $2 WHERE shard = $1 RETURNING epoch";

/// The fence. Held to the end of the transaction; in share mode it leaves no dead row.
const FENCE: &str = "SELECT epoch FROM controller WHERE shard = $1 FOR SHARE";

const OUTBOX: &str = "INSERT INTO outbox (shard, seq, epoch, at, body) \
     SELECT $1, coalesce((SELECT max(seq) FROM outbox WHERE shard = $1), 0) + 1, $2, $3, $4 \
     RETURNING seq";

/// Whoever asks for `finished_at IS NULL` is offered all of the index of unfinished workflows.
const TAKE_SLOTS: &str = "INSERT INTO slot SELECT w.id FROM workflow w WHERE w.id = ANY ($1) \
     AND coalesce(w.finished_at, -1) = -1 ON CONFLICT DO NOTHING";
const GIVE_SLOTS_BACK: &str = "DELETE FROM slot WHERE workflow = ANY ($1)";

const CUT_OUTBOX: &str = "DELETE FROM outbox WHERE shard = $1 AND seq <= $2";

/// One statement of a commit, and what it has to give.
pub(super) struct Step<'a> {
    sql: &'static str,
    binds: Vec<Bound<'a>>,
    expect: Expect,
}

/// What an answer means.
#[derive(Clone, Copy)]
pub(super) enum Expect {
    /// Whatever it is.
    Anything,
    /// So many rows, or the commit is refused for this reason.
    Rows(usize, &'static str),
    /// The gates of the workflows whose attempts are admitted.
    Gates,
    /// The attempts that were opened.
    Admitted,
    /// Holders and limit of each lock that was taken.
    Locks,
    /// The number of the outbox row.
    Outbox,
    /// No row: each is a workflow whose attempt the scheduler has admitted, or taken back.
    NotOvertaken,
}

impl<'a> Step<'a> {
    pub(super) fn new(sql: &'static str, binds: Vec<Bound<'a>>) -> Self {
        Self { sql, binds, expect: Expect::Anything }
    }

    pub(super) async fn send(self, tx: &mut Tx<'a>) {
        tx.send(self.sql, self.binds).await;
    }

    pub(super) fn expect(self, expect: Expect) -> Self {
        Self { expect, ..self }
    }
}

/// The next epoch; all earlier ones are refused from now on.
pub(super) async fn take_over(mut tx: Tx<'_>, instance: InstanceId) -> Result<u64, StoreError> {
    tx.execute(DROP_SHARDS, binds![]).await?;
    tx.execute(TAKE_SHARDS, binds![]).await?;
    let rows = tx.rows(TAKE_OVER, binds![SHARD, instance.0]).await?;
    codec::count(rows.first().ok_or(StoreError::NotFound)?, 0)
}

pub(super) async fn apply<'a>(mut tx: Tx<'a>, commit: &'a Commit) -> Result<Committed, StoreError> {
    match &commit.handover {
        None => tx.send(FENCE, binds![SHARD]).await,
        Some(handover) => tx.send(handover::FENCE, handover::fence(handover)?).await,
    }
    // Whoever is fenced is told so, whatever else is wrong with what it sends.
    let steps = match plan(commit) {
        Ok(steps) => steps,
        Err(error) => {
            fence(&tx.answer().await?, commit)?;
            return Err(error);
        }
    };
    let mut expected = Vec::with_capacity(steps.len());
    for step in steps {
        tx.send(step.sql, step.binds).await;
        expected.push(step.expect);
    }
    fence(&tx.answer().await?, commit)?;
    let mut seen = Seen::default();
    for expect in expected {
        seen.take(expect, &tx.answer().await?)?;
    }
    if commit.handover.is_none() && seen.outbox % OUTBOX_CUT_EVERY == 0 {
        tx.execute(CUT_OUTBOX, binds![SHARD, seen.outbox - OUTBOX_ROWS]).await?;
    }
    seen.admissions(commit)
}

fn fence(answer: &Answer, commit: &Commit) -> Result<(), StoreError> {
    let current = match &commit.handover {
        Some(handover) => answer.rows.len() == handover.leases.len(),
        None => {
            let row = answer.rows.first().ok_or(StoreError::Fenced)?;
            codec::count(row, 0)? == commit.epoch
        }
    };
    if current { Ok(()) } else { Err(StoreError::Fenced) }
}

/// All statements of a commit, in the order in which they have to take effect.
fn plan(commit: &Commit) -> Result<Vec<Step<'_>>, StoreError> {
    let mut steps = Vec::with_capacity(24);
    for run in &commit.runs {
        rules::own(run)?;
    }
    workflows::lock_gates(&mut steps, commit);
    // First, so that a gate may open again for the intents this very turn carried out.
    if !commit.intents_done.is_empty() {
        let done = commit.intents_done.clone();
        steps.push(Step::new("DELETE FROM intent WHERE id = ANY ($1)", binds![done]));
    }
    workflows::rows(&mut steps, &commit.runs)?;
    workflows::gates(&mut steps, &commit.runs);
    children::steps(&mut steps, commit)?;
    kept::remember(&mut steps, commit)?;
    workflows::delete(&mut steps, &commit.runs);
    let queue = queue::Queue::of(commit);
    tasks::rows(&mut steps, commit)?;
    tasks::records(&mut steps, commit)?;
    queue.runnable(&mut steps, commit)?;
    queue::facts(&mut steps, commit, |_| true)?;
    kept::locks(&mut steps, commit)?;
    kept::timers(&mut steps, commit)?;
    queue.admissions(&mut steps, commit)?;
    slots(&mut steps, &rules::slots(commit));
    usage::record(&mut steps, &commit.usage)?;
    // An attempt may even end in the turn that admits it; others are done, for these it is nothing.
    queue::facts(&mut steps, commit, |key| queue.wanted.contains(key))?;
    match &commit.handover {
        // Several controllers number no rows together; followers are told by hints.
        Some(handover) => handover::steps(&mut steps, commit, (handover, &queue.told))?,
        None => steps.push(outbox(commit)?),
    }
    Ok(steps)
}

/// Who holds a slot for workflows, and who does no more.
pub(super) fn slots(steps: &mut Vec<Step<'_>>, changes: &SlotChanges) {
    for (sql, wanted) in [(TAKE_SLOTS, true), (GIVE_SLOTS_BACK, false)] {
        let of: Vec<Uuid> =
            changes.iter().filter(|(_, holds)| **holds == wanted).map(|(id, _)| id.0).collect();
        if !of.is_empty() {
            steps.push(Step::new(sql, binds![of]));
        }
    }
}

/// One row for followers: which workflows changed, and up to which record.
fn outbox(commit: &Commit) -> Result<Step<'_>, StoreError> {
    let body = rules::outbox(commit)?;
    let values = binds![SHARD, long(commit.epoch)?, commit.at.0, body];
    Ok(Step::new(OUTBOX, values).expect(Expect::Outbox))
}

/// What the answers said.
#[derive(Default)]
struct Seen {
    /// Workflows whose gates are open.
    open: BTreeSet<Uuid>,
    admitted: u64,
    outbox: i64,
}

impl Seen {
    fn take(&mut self, expect: Expect, answer: &Answer) -> Result<(), StoreError> {
        match expect {
            Expect::Anything => {}
            Expect::Rows(wanted, why) => {
                if usize::try_from(answer.affected) != Ok(wanted) {
                    return Err(StoreError::Conflict(why.to_owned()));
                }
            }
            Expect::Gates => {
                for row in &answer.rows {
                    if !codec::get::<bool>(row, 1)? {
                        self.open.insert(codec::get(row, 0)?);
                    }
                }
            }
            Expect::Admitted => self.admitted += answer.affected,
            Expect::Locks => {
                for row in &answer.rows {
                    let (holders, limit) = (codec::count(row, 1)?, codec::count(row, 2)?);
                    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
                    rules::lock_overfull(codec::get(row, 0)?, holders, limit)?;
                }
            }
            Expect::NotOvertaken => {
                let ids: Vec<WorkflowId> = read(&answer.rows, |row| codec::workflow_id(row, 0))?;
                if !ids.is_empty() {
                    return Err(StoreError::Overtaken(ids));
                }
            }
            Expect::Outbox => {
                let row = answer.rows.first().ok_or_else(|| codec::corrupt("no outbox row"))?;
                self.outbox = codec::get(row, 0)?;
            }
        }
        Ok(())
    }

    /// Those behind a closed gate were refused; all others must have been opened.
    fn admissions(&self, commit: &Commit) -> Result<Committed, StoreError> {
        let open = |key: &&AttemptKey| self.open.contains(&key.workflow.0);
        let (wanted, refused): (Vec<&AttemptKey>, Vec<&AttemptKey>) =
            commit.admissions.iter().partition(open);
        match wanted.first() {
            Some(_) if commit.instance.is_none() => Err(rules::no_instance()),
            Some(first) if u64::try_from(wanted.len()) != Ok(self.admitted) => {
                Err(rules::not_runnable(**first))
            }
            _ => Ok(Committed { refused: refused.into_iter().copied().collect() }),
        }
    }
}
