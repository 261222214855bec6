//! What a controller hands over with a commit.

use std::collections::BTreeMap;

use flowforge_model::attempt::{AttemptKey, FailureClass};
use flowforge_ports::admission::Ready;
use flowforge_ports::handover::{Call, Handover, Order, Tidings};
use flowforge_ports::store::{Commit, StoreError};

use super::{TELL, columns, columns_of_news, ended};
use crate::postgres::bind::{Bound, binds, int, long};
use crate::postgres::codec;
use crate::postgres::commit::{Expect, Step};
use crate::rules;

/// The fence: the rows of all leases that are still those of this controller, locked to the end of the
/// transaction.
pub(in crate::postgres) const FENCE: &str = "SELECT 1 FROM lease l \
     JOIN unnest($1::smallint[], $2::bigint[]) AS u (slot, epoch) ON u.slot = l.slot \
     WHERE l.role = 'controller' AND l.epoch = u.epoch ORDER BY l.slot FOR SHARE OF l";

/// Attempts that this commit takes off the queue and that the scheduler has taken before.
const OVERTAKEN: &str = "SELECT DISTINCT a.workflow FROM attempt a \
     JOIN unnest($1::uuid[], $2::integer[], $3::integer[]) AS u (workflow, node, number) \
     USING (workflow, node, number) WHERE coalesce(a.ended_at, -1) = -1";

const ORDER: &str = "INSERT INTO work_order (workflow, node, number, priority, since, \
     parallelism, cpu, memory, gpu, cpu_limit, memory_limit, lasts, pods, body) SELECT * FROM \
     unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::bigint[], $6::bigint[], \
     $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], \
     $13::bigint[], $14::text[]) ON CONFLICT DO NOTHING";

/// With what pods of gangs have told, which are few.
const FORGET_ORDERS: &str = "WITH gone AS (DELETE FROM work_order o \
     USING unnest($1::uuid[], $2::integer[], $3::integer[]) AS u (workflow, node, number) \
     WHERE o.workflow = u.workflow AND o.node = u.node AND o.number = u.number \
     RETURNING o.workflow, o.node, o.number, o.pods) \
     DELETE FROM attempt_member m USING gone g WHERE g.pods > 1 \
     AND m.workflow = g.workflow AND m.node = g.node AND m.number = g.number";

/// Asks executors to stop attempts. One that nobody has claimed never will be: its end is told.
const STOP: &str = "WITH asked AS (UPDATE attempt a SET stop = TRUE \
     FROM unnest($1::uuid[], $2::integer[], $3::integer[]) AS u (workflow, node, number) \
     WHERE a.workflow = u.workflow AND a.node = u.node AND a.number = u.number \
     AND coalesce(a.ended_at, -1) = -1 AND NOT a.stop \
     RETURNING a.workflow, a.node, a.number, a.instance) \
     INSERT INTO news (workflow, node, number, finished, body) \
     SELECT u.workflow, u.node, u.number, u.finished, u.body FROM asked \
     JOIN unnest($1::uuid[], $2::integer[], $3::integer[], $4::boolean[], $5::text[]) \
     AS u (workflow, node, number, finished, body) USING (workflow, node, number) \
     WHERE asked.instance IS NULL";

/// Of what is to stop, what is not open any more although it is not over: the scheduler has taken its reservation back.
/// It may have made another one since the statement before looked: that one is not stopped either.
const GIVEN_BACK: &str = "SELECT DISTINCT o.workflow FROM work_order o \
     JOIN unnest($1::uuid[], $2::integer[], $3::integer[]) AS u (workflow, node, number) \
     USING (workflow, node, number) LEFT JOIN attempt a USING (workflow, node, number) \
     WHERE NOT coalesce(a.stop OR a.ended_at IS NOT NULL, FALSE)";

const CALL: &str = "WITH next AS (UPDATE call_log l SET last = l.last + 1 \
     WHERE l.shard = ANY ($1) RETURNING l.shard, l.last) \
     INSERT INTO call (shard, seq, body) SELECT n.shard, n.last, u.body FROM next n \
     JOIN unnest($1::smallint[], $2::text[]) AS u (shard, body) USING (shard)";

/// The shards of the leases, and their epochs.
pub(in crate::postgres) fn fence(handover: &Handover) -> Result<Vec<Bound<'static>>, StoreError> {
    let slots: Vec<i16> = handover.leases.iter().map(|lease| i16::from(lease.slot)).collect();
    let epochs = handover.leases.iter().map(|lease| long(lease.epoch));
    Ok(binds![slots, epochs.collect::<Result<Vec<_>, _>>()?])
}

/// After the queue of the commit is written.
pub(in crate::postgres) fn steps<'a>(
    steps: &mut Vec<Step<'a>>,
    commit: &'a Commit,
    (handover, told): (&'a Handover, &Told<'_>),
) -> Result<(), StoreError> {
    let held = |slot: u8| handover.leases.iter().any(|lease| lease.slot == slot);
    let mut written = commit.runs.iter().filter_map(|run| run.workflow);
    if !written.all(|id| held(id.shard().number())) {
        return Err(StoreError::Conflict("a shard is written without its lease".to_owned()));
    }
    let taken: Vec<AttemptKey> =
        commit.runs.iter().flat_map(|run| run.unrunnable.iter().copied()).collect();
    if !taken.is_empty() {
        let (workflows, nodes, numbers) = columns(&taken)?;
        let step = Step::new(OVERTAKEN, binds![workflows, nodes, numbers]);
        steps.push(step.expect(Expect::NotOvertaken));
    }
    orders(steps, handover, told)?;
    if !handover.stops.is_empty() {
        let stopped = |key| ended(key, commit.at, FailureClass::Stopped, rules::STOPPED_UNCLAIMED);
        let mut keys = handover.stops.clone();
        keys.sort_unstable();
        keys.dedup();
        let (workflows, nodes, numbers) = columns(&keys)?;
        let news: Vec<_> = keys.into_iter().map(stopped).collect();
        steps.push(Step::new(STOP, columns_of_news(&news)?));
        let step = Step::new(GIVEN_BACK, binds![workflows, nodes, numbers]);
        steps.push(step.expect(Expect::NotOvertaken));
    }
    if !handover.news_done.is_empty() {
        let done = handover.news_done.clone();
        steps.push(Step::new("DELETE FROM news WHERE id = ANY ($1)", binds![done]));
    }
    let told = commit.runs.iter().flat_map(|run| &run.tells);
    let told: Vec<Tidings> = told.map(|fact| Tidings::Fact(fact.clone())).collect();
    if !told.is_empty() {
        steps.push(Step::new(TELL, columns_of_news(&told)?));
    }
    calls(steps, handover)
}

/// What a scheduler is told of, and an executor will read, if it is for one: each is a row of the queue.
pub(in crate::postgres) type Told<'c> = BTreeMap<AttemptKey, (&'c Ready, Option<&'c Order>)>;

pub(in crate::postgres) fn told(commit: &Commit) -> Told<'_> {
    let Some(handover) = commit.handover.as_deref() else {
        return Told::new();
    };
    let offers = handover.calls.iter().filter_map(|call| match call {
        Call::Offer(one) => Some((one.key, one)),
        _ => None,
    });
    let offers: BTreeMap<AttemptKey, &Ready> = offers.collect();
    let orders = handover.orders.iter().map(|(key, order)| (*key, Some(order)));
    let runnable = commit.runs.iter().flat_map(|run| run.runnable.iter().copied());
    let podless = |key: &AttemptKey| offers.get(key).is_some_and(|ready| ready.pods == 0);
    let own = runnable.filter(podless).map(|key| (key, None));
    own.chain(orders).filter_map(|(key, order)| Some((key, (*offers.get(&key)?, order)))).collect()
}

/// A withdrawal takes nothing away but what this very commit offers: what was offered before, the commit of its
/// workflow takes off the queue.
fn orders<'a>(
    steps: &mut Vec<Step<'a>>,
    handover: &'a Handover,
    told: &Told<'_>,
) -> Result<(), StoreError> {
    let over = handover.calls.iter().filter_map(|call| match call {
        Call::Release(released) => Some(released.key),
        Call::Withdraw(key) if told.contains_key(key) => Some(*key),
        _ => None,
    });
    let over: Vec<AttemptKey> = over.collect();
    let (mut workflows, mut nodes, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    let (mut priorities, mut since, mut parallelism) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cpu, mut memory, mut gpu) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cpu_limit, mut memory_limit) = (Vec::new(), Vec::new());
    let (mut lasts, mut pods, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
    for (key, (one, order)) in told {
        workflows.push(key.workflow.0);
        nodes.push(int(key.node.0)?);
        numbers.push(int(key.number)?);
        priorities.push(one.priority);
        since.push(one.since.0);
        parallelism.push(one.parallelism.map(i64::from));
        cpu.push(long(one.requests.cpu.0)?);
        memory.push(long(one.requests.memory.0)?);
        gpu.push(i64::from(one.requests.gpu.max(one.limits.gpu)));
        cpu_limit.push(long(one.limits.cpu.0)?);
        memory_limit.push(long(one.limits.memory.0)?);
        lasts.push(one.lasts.map(|lasts| long(lasts.0)).transpose()?);
        pods.push(i64::from(one.pods));
        bodies.push(order.map(codec::to_json).transpose()?);
    }
    if !workflows.is_empty() {
        let mut values = binds![workflows, nodes, numbers, priorities, since, parallelism];
        values.extend(binds![cpu, memory, gpu, cpu_limit, memory_limit, lasts, pods, bodies]);
        steps.push(Step::new(ORDER, values));
    }
    if !over.is_empty() {
        let (workflows, nodes, numbers) = columns(&over)?;
        steps.push(Step::new(FORGET_ORDERS, binds![workflows, nodes, numbers]));
    }
    Ok(())
}

fn calls(steps: &mut Vec<Step<'_>>, handover: &Handover) -> Result<(), StoreError> {
    let mut entries: BTreeMap<i16, Vec<&Call>> = BTreeMap::new();
    for call in &handover.calls {
        entries.entry(i16::from(call.workflow().shard().number())).or_default().push(call);
    }
    if entries.is_empty() {
        return Ok(());
    }
    let shards: Vec<i16> = entries.keys().copied().collect();
    let bodies: Result<Vec<String>, _> = entries.values().map(codec::to_json).collect();
    steps.push(Step::new(CALL, binds![shards, bodies?]));
    Ok(())
}
