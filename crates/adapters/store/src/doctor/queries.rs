//! The queries. A name ends in what a row of it means.

use super::{Check, Reach};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "INV-1",
        title: "every accepted workflow will be begun, and one under way has work left",
        queries: &[NEVER_BEGUN, NOTHING_LEFT],
        postgres: None,
        reach: Reach::Workflows,
    },
    Check {
        id: "INV-2",
        title: "no task is lost: whatever waits has a queue entry, an attempt, a timer, a lock or a group",
        queries: &[
            QUEUED_NOWHERE,
            QUEUED_FOR_NO_LOCK,
            RUNNING_WITHOUT_ATTEMPT,
            RETRYING_WITHOUT_TIMER,
            LEFT_BEHIND,
        ],
        postgres: None,
        reach: Reach::Workflows,
    },
    Check {
        id: "INV-3",
        title: "success is final: nothing of a task starts after it succeeded",
        queries: &[ATTEMPT_AFTER_SUCCESS, OPEN_AFTER_SUCCESS, RUNNABLE_AFTER_SUCCESS],
        postgres: None,
        reach: Reach::Workflows,
    },
    Check {
        id: "INV-4",
        title: "what has ended stays ended: it has a time of end and nothing under way",
        queries: &[WORKFLOW_END, TASK_END, TASK_OUTLIVES_WORKFLOW],
        postgres: None,
        reach: Reach::Workflows,
    },
    Check {
        id: "INV-5",
        title: "a task has at most one open attempt",
        queries: &[TWO_OPEN_ATTEMPTS],
        postgres: Some(&[TWO_OPEN_ATTEMPTS_ANYWHERE]),
        reach: Reach::Whole,
    },
    Check {
        id: "INV-8",
        title: "an ended workflow holds no reservation, no lock is held by too many",
        queries: &[OPEN_AFTER_END, LOCK_OVERFULL],
        postgres: None,
        reach: Reach::Whole,
    },
    Check {
        id: "INV-10",
        title: "records are numbered from 1 without gaps",
        queries: &[GAP],
        postgres: None,
        reach: Reach::Workflows,
    },
    Check {
        id: "INV-11",
        title: "the rows are what the records say",
        queries: &[FOLD_OF_TASK, FOLD_OF_WORKFLOW],
        postgres: Some(&[FOLD_OF_TASK_LAST, FOLD_OF_WORKFLOW_LAST]),
        reach: Reach::Workflows,
    },
    Check {
        id: "INV-16",
        title: "an ended workflow or task leaves nothing behind",
        queries: &[RUNNABLE_AFTER_END, TIMER_AFTER_END, LOCK_AFTER_END],
        postgres: None,
        reach: Reach::Whole,
    },
    Check {
        id: "INV-20",
        title: "an acknowledged cancel, stop or pause holds its gate closed",
        queries: &[GATE_OPEN],
        postgres: Some(&[GATE_OPEN_APART]),
        reach: Reach::Whole,
    },
    Check {
        id: "ORPHANS",
        title: "every row belongs to a workflow, every workflow has its document",
        queries: &[ORPHAN, NO_DOCUMENT],
        postgres: Some(&[ORPHAN, NO_DOCUMENT, ORPHAN_APART, NO_GATE]),
        reach: Reach::Workflows,
    },
    Check {
        id: "TREE",
        title: "the tasks of a workflow are numbered from 0 without gaps, groups first",
        queries: &[TREE],
        postgres: None,
        reach: Reach::Workflows,
    },
    Check {
        id: "OUTBOX",
        title: "the outbox is numbered without gaps",
        queries: &[OUTBOX_GAP],
        postgres: None,
        reach: Reach::Whole,
    },
    Check {
        id: "FILE",
        title: "the file is sound",
        queries: &[FILE],
        postgres: Some(&[INDEX_UNSOUND]),
        reach: Reach::Whole,
    },
];

const NEVER_BEGUN: &str = "
    SELECT w.id, 'PENDING without an intent to begin it' FROM workflow w
    WHERE w.status = 'PENDING' AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.workflow = w.id)";

const NOTHING_LEFT: &str = "
    SELECT w.id, 'RUNNING, but every task has ended' FROM workflow w
    WHERE w.status = 'RUNNING'
    AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.workflow = w.id)
    AND NOT EXISTS (SELECT 1 FROM task t WHERE t.workflow = w.id
        AND t.status IN ('PENDING', 'QUEUED', 'RUNNING', 'RETRYING'))";

const QUEUED_NOWHERE: &str = "
    SELECT t.workflow, 'task ' || t.node || ' is QUEUED, neither runnable nor admitted'
    FROM task t JOIN workflow w ON w.id = t.workflow
    WHERE t.status = 'QUEUED' AND t.kind = 'leaf'
    AND w.status IN ('PENDING', 'RUNNING', 'PAUSED')
    AND NOT EXISTS (SELECT 1 FROM runnable r WHERE r.workflow = t.workflow AND r.node = t.node)
    AND NOT EXISTS (SELECT 1 FROM lock l
        WHERE l.workflow = t.workflow AND l.node = t.node AND NOT l.held)
    AND NOT EXISTS (SELECT 1 FROM attempt a
        WHERE a.workflow = t.workflow AND a.node = t.node AND a.ended_at IS NULL)";

const QUEUED_FOR_NO_LOCK: &str = "
    SELECT t.workflow, 'task ' || t.node || ' is QUEUED for a lock, but waits for none'
    FROM task t JOIN workflow w ON w.id = t.workflow
    WHERE t.status = 'QUEUED' AND t.reason = 'lock'
    AND w.status IN ('PENDING', 'RUNNING', 'PAUSED')
    AND NOT EXISTS (SELECT 1 FROM lock l
        WHERE l.workflow = t.workflow AND l.node = t.node AND NOT l.held)";

const RUNNING_WITHOUT_ATTEMPT: &str = "
    SELECT t.workflow, 'task ' || t.node || ' is RUNNING without an open attempt'
    FROM task t JOIN workflow w ON w.id = t.workflow
    WHERE t.status = 'RUNNING' AND t.kind = 'leaf'
    AND w.status IN ('PENDING', 'RUNNING', 'PAUSED')
    AND NOT EXISTS (SELECT 1 FROM attempt a
        WHERE a.workflow = t.workflow AND a.node = t.node AND a.ended_at IS NULL)";

const RETRYING_WITHOUT_TIMER: &str = "
    SELECT t.workflow, 'task ' || t.node || ' is RETRYING without a timer'
    FROM task t JOIN workflow w ON w.id = t.workflow
    WHERE t.status = 'RETRYING' AND w.status IN ('PENDING', 'RUNNING', 'PAUSED')
    AND NOT EXISTS (SELECT 1 FROM timer m
        WHERE m.workflow = t.workflow AND m.node = t.node AND m.kind = 'retry')";

const LEFT_BEHIND: &str = "
    SELECT t.workflow, 'task ' || t.node || ' is ' || t.status || ', but its group has ended'
    FROM task t JOIN task g ON g.workflow = t.workflow AND g.node = t.parent
    JOIN workflow w ON w.id = t.workflow
    WHERE t.status IN ('PENDING', 'QUEUED', 'RUNNING', 'RETRYING')
    AND g.status IN ('SUCCEEDED', 'FAILED', 'SKIPPED', 'CANCELLED')
    AND w.status IN ('PENDING', 'RUNNING', 'PAUSED')";

const ATTEMPT_AFTER_SUCCESS: &str = "
    SELECT t.workflow,
        'task ' || t.node || ' SUCCEEDED with attempt ' || t.attempt || ', attempt ' || a.number
        || ' came after it'
    FROM task t JOIN attempt a ON a.workflow = t.workflow AND a.node = t.node
    WHERE t.status = 'SUCCEEDED' AND a.number > t.attempt";

const OPEN_AFTER_SUCCESS: &str = "
    SELECT t.workflow, 'task ' || t.node || ' SUCCEEDED, attempt ' || a.number || ' is open'
    FROM attempt a JOIN task t ON t.workflow = a.workflow AND t.node = a.node
    WHERE a.ended_at IS NULL AND t.status = 'SUCCEEDED'";

const RUNNABLE_AFTER_SUCCESS: &str = "
    SELECT t.workflow, 'task ' || t.node || ' SUCCEEDED, attempt ' || r.number || ' is runnable'
    FROM runnable r JOIN task t ON t.workflow = r.workflow AND t.node = r.node
    WHERE t.status = 'SUCCEEDED'";

const WORKFLOW_END: &str = "
    SELECT id, status || CASE WHEN finished_at IS NULL THEN ' without' ELSE ' with' END || ' a time of end'
    FROM workflow
    WHERE (finished_at IS NOT NULL) <> (status IN ('SUCCEEDED', 'FAILED', 'CANCELLED'))";

const TASK_END: &str = "
    SELECT workflow, 'task ' || node || ' is ' || status
        || CASE WHEN finished_at IS NULL THEN ' without' ELSE ' with' END || ' a time of end'
    FROM task
    WHERE (finished_at IS NOT NULL) <> (status IN ('SUCCEEDED', 'FAILED', 'SKIPPED', 'CANCELLED'))";

/// A workflow that was set aside keeps its tasks as they were, for a person to look at.
const TASK_OUTLIVES_WORKFLOW: &str = "
    SELECT t.workflow, 'task ' || t.node || ' is ' || t.status || ', the workflow ' || w.status
    FROM workflow w JOIN task t ON t.workflow = w.id
    WHERE w.status IN ('SUCCEEDED', 'FAILED', 'CANCELLED')
    AND w.reason IS DISTINCT FROM 'quarantined'
    AND t.status IN ('PENDING', 'QUEUED', 'RUNNING', 'RETRYING')";

const TWO_OPEN_ATTEMPTS: &str = "
    SELECT workflow, 'task ' || node || ' has ' || count(*) || ' open attempts'
    FROM attempt NOT INDEXED WHERE ended_at IS NULL GROUP BY workflow, node HAVING count(*) > 1";

/// The same for PostgreSQL.
const TWO_OPEN_ATTEMPTS_ANYWHERE: &str = "
    SELECT workflow, 'task ' || node || ' has ' || count(*) || ' open attempts'
    FROM attempt WHERE ended_at IS NULL GROUP BY workflow, node HAVING count(*) > 1";

const OPEN_AFTER_END: &str = "
    SELECT a.workflow, w.status || ', attempt ' || a.number || ' of task ' || a.node || ' is open'
    FROM attempt a JOIN workflow w ON w.id = a.workflow
    WHERE a.ended_at IS NULL AND w.status IN ('SUCCEEDED', 'FAILED', 'CANCELLED')";

/// How many may hold a lock is what each task knows of it, the one that was given it last at least
/// as many as there are.
const LOCK_OVERFULL: &str = "
    SELECT NULL, 'lock ' || key || ' is held by ' || count(*) || ' tasks of at most '
        || max(capacity)
    FROM lock WHERE held GROUP BY key HAVING count(*) > max(capacity)";

const GAP: &str = "
    SELECT w.id, 'the last record has number ' || w.seq || ', there are ' || count(e.seq)
        || ' from ' || coalesce(min(e.seq), 0) || ' to ' || coalesce(max(e.seq), 0)
    FROM workflow w LEFT JOIN event e ON e.workflow = w.id
    GROUP BY w.id, w.seq
    HAVING count(e.seq) <> w.seq OR coalesce(max(e.seq), 0) <> w.seq
        OR coalesce(min(e.seq), 1) <> 1";

/// SQLite takes the other columns of a group from the row that holds the one `max`.
const FOLD_OF_TASK: &str = "
    WITH last AS (
        SELECT workflow, node, max(seq) AS seq, status, reason, attempt, exit_code
        FROM event WHERE node IS NOT NULL GROUP BY workflow, node)
    SELECT t.workflow, 'task ' || t.node || ' is ' || t.status || ' at attempt ' || t.attempt
        || ', its last record ' || coalesce(l.seq || ' says ' || l.status || ' at attempt '
        || l.attempt, 'is missing')
    FROM task t LEFT JOIN last l ON l.workflow = t.workflow AND l.node = t.node
    WHERE iif(l.seq IS NULL, t.status <> 'PENDING' OR t.attempt <> 0,
        l.status <> t.status OR l.reason IS NOT t.reason OR l.attempt <> t.attempt
        OR l.exit_code IS NOT t.exit_code)
    UNION ALL
    SELECT l.workflow, 'record ' || l.seq || ' is about task ' || l.node || ', which is not there'
    FROM last l
    WHERE NOT EXISTS (SELECT 1 FROM task t WHERE t.workflow = l.workflow AND t.node = l.node)";

/// The same for PostgreSQL.
const FOLD_OF_TASK_LAST: &str = "
    WITH last AS (
        SELECT DISTINCT ON (workflow, node) workflow, node, seq, status, reason, attempt, exit_code
        FROM event WHERE node IS NOT NULL ORDER BY workflow, node, seq DESC)
    SELECT t.workflow, 'task ' || t.node || ' is ' || t.status || ' at attempt ' || t.attempt
        || ', its last record ' || coalesce(l.seq || ' says ' || l.status || ' at attempt '
        || l.attempt, 'is missing')
    FROM task t LEFT JOIN last l ON l.workflow = t.workflow AND l.node = t.node
    WHERE CASE WHEN l.seq IS NULL THEN t.status <> 'PENDING' OR t.attempt <> 0
        ELSE l.status <> t.status OR l.reason IS DISTINCT FROM t.reason OR l.attempt <> t.attempt
        OR l.exit_code IS DISTINCT FROM t.exit_code END
    UNION ALL
    SELECT l.workflow, 'record ' || l.seq || ' is about task ' || l.node || ', which is not there'
    FROM last l
    WHERE NOT EXISTS (SELECT 1 FROM task t WHERE t.workflow = l.workflow AND t.node = l.node)";

const FOLD_OF_WORKFLOW: &str = "
    WITH last AS (
        SELECT workflow, max(seq) AS seq, status, reason, generation
        FROM event WHERE node IS NULL GROUP BY workflow)
    SELECT w.id, 'it is ' || w.status || ' in generation ' || w.generation
        || ', its last record ' || coalesce(l.seq || ' says ' || l.status || ' in generation '
        || l.generation, 'is missing')
    FROM workflow w LEFT JOIN last l ON l.workflow = w.id
    WHERE iif(l.seq IS NULL, w.status <> 'PENDING' OR w.generation <> 1,
        l.status <> w.status OR l.reason IS NOT w.reason OR l.generation <> w.generation)";

/// The same for PostgreSQL.
const FOLD_OF_WORKFLOW_LAST: &str = "
    WITH last AS (
        SELECT DISTINCT ON (workflow) workflow, seq, status, reason, generation
        FROM event WHERE node IS NULL ORDER BY workflow, seq DESC)
    SELECT w.id, 'it is ' || w.status || ' in generation ' || w.generation
        || ', its last record ' || coalesce(l.seq || ' says ' || l.status || ' in generation '
        || l.generation, 'is missing')
    FROM workflow w LEFT JOIN last l ON l.workflow = w.id
    WHERE CASE WHEN l.seq IS NULL THEN w.status <> 'PENDING' OR w.generation <> 1
        ELSE l.status <> w.status OR l.reason IS DISTINCT FROM w.reason
        OR l.generation <> w.generation END";

const RUNNABLE_AFTER_END: &str = "
    SELECT r.workflow, w.status || ', attempt ' || r.number || ' of task ' || r.node
        || ' is runnable'
    FROM runnable r JOIN workflow w ON w.id = r.workflow
    WHERE w.status IN ('SUCCEEDED', 'FAILED', 'CANCELLED')";

const TIMER_AFTER_END: &str = "
    SELECT m.workflow, w.status || ', task ' || m.node || ' has a timer ' || m.kind
    FROM timer m JOIN workflow w ON w.id = m.workflow
    WHERE m.kind <> 'ttl' AND w.status IN ('SUCCEEDED', 'FAILED', 'CANCELLED')";

/// Locks of a workflow as a whole are those of its root, which may end before it.
const LOCK_AFTER_END: &str = "
    SELECT l.workflow, 'task ' || l.node || CASE WHEN l.held THEN ' holds' ELSE ' waits for' END || ' lock ' || l.key
        || ', but ' || CASE WHEN w.finished_at IS NOT NULL THEN 'the workflow is ' || w.status
        WHEN t.node IS NULL THEN 'is not there' ELSE 'is ' || t.status END
    FROM lock l JOIN workflow w ON w.id = l.workflow
    LEFT JOIN task t ON t.workflow = l.workflow AND t.node = l.node
    WHERE w.finished_at IS NOT NULL
    OR (l.node <> 0 AND (t.node IS NULL OR t.finished_at IS NOT NULL))";

const GATE_OPEN: &str = "
    SELECT w.id, 'the gate is open, ' || i.command || ' waits'
    FROM intent i JOIN workflow w ON w.id = i.workflow
    WHERE i.closes = 1 AND w.gate_closed = 0";

/// PostgreSQL keeps gates apart from their workflows.
const GATE_OPEN_APART: &str = "
    SELECT i.workflow, 'the gate is open, ' || i.command || ' waits'
    FROM intent i JOIN gate g ON g.workflow = i.workflow
    WHERE i.closes AND NOT g.closed";

/// PostgreSQL has tables that SQLite lacks.
const ORPHAN_APART: &str = "
    WITH below (workflow, what) AS (
        SELECT workflow, 'a gate' FROM gate
        UNION ALL SELECT workflow, 'a work order of task ' || node FROM work_order
        UNION ALL SELECT workflow, 'member ' || member || ' of task ' || node FROM attempt_member)
    SELECT b.workflow, 'it is gone, but left ' || b.what FROM below b
    WHERE NOT EXISTS (SELECT 1 FROM workflow w WHERE w.id = b.workflow)";

const NO_GATE: &str = "
    SELECT w.id, 'it has no gate' FROM workflow w
    WHERE NOT EXISTS (SELECT 1 FROM gate g WHERE g.workflow = w.id)";

const ORPHAN: &str = "
    WITH below (workflow, what) AS (
        SELECT workflow, 'a document' FROM document
        UNION ALL SELECT workflow, 'intent ' || id FROM intent
        UNION ALL SELECT workflow, 'what started it' FROM child
        UNION ALL SELECT workflow, 'runnable task ' || node FROM runnable
        UNION ALL SELECT workflow, 'a timer of task ' || node FROM timer
        UNION ALL SELECT workflow, 'lock ' || key || ' of task ' || node FROM lock
        UNION ALL SELECT workflow, 'tasks, ' || count(*) FROM task GROUP BY workflow
        UNION ALL SELECT workflow, 'attempts, ' || count(*) FROM attempt GROUP BY workflow
        UNION ALL SELECT workflow, 'records, ' || count(*) FROM event GROUP BY workflow)
    SELECT b.workflow, 'it is gone, but left ' || b.what FROM below b
    WHERE NOT EXISTS (SELECT 1 FROM workflow w WHERE w.id = b.workflow)";

const NO_DOCUMENT: &str = "
    SELECT w.id, 'it has no document' FROM workflow w
    WHERE NOT EXISTS (SELECT 1 FROM document d WHERE d.workflow = w.id)";

const TREE: &str = "
    SELECT workflow, 'it has ' || count(*) || ' tasks, numbered ' || min(node) || ' to ' || max(node)
    FROM task GROUP BY workflow HAVING min(node) <> 0 OR max(node) <> count(*) - 1
    UNION ALL
    SELECT workflow, 'task ' || node || ' comes before its group ' || parent
    FROM task WHERE parent >= node";

const OUTBOX_GAP: &str = "
    SELECT NULL, 'shard ' || shard || ' has ' || count(*) || ' entries, numbered ' || min(seq)
        || ' to ' || max(seq)
    FROM outbox GROUP BY shard HAVING max(seq) - min(seq) + 1 <> count(*)";

const FILE: &str = "
    SELECT NULL, integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'";

/// What PostgreSQL itself knows to be damaged.
const INDEX_UNSOUND: &str = "
    SELECT NULL, 'index ' || indexrelid::regclass || ' is not valid'
    FROM pg_index WHERE NOT indisvalid
    UNION ALL
    SELECT NULL, checksum_failures || ' pages had a wrong checksum' FROM pg_stat_database
    WHERE datname = current_database() AND checksum_failures > 0";
