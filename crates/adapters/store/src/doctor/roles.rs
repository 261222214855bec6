//! What the tables of roles can break; only PostgreSQL has them.

use super::{Check, Reach};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "INV-6",
        title: "every slot has one lease, held by a server that is known",
        queries: &[NO_HOLDING, HALF_HELD, HELD_BY_NOBODY, NEVER_RAISED],
        postgres: None,
        reach: Reach::Whole,
    },
    Check {
        id: "ORDERS",
        title: "what may start or runs has its work order, and no other order is left",
        queries: &[ORDER_FOR_NOTHING, OPEN_WITHOUT_ORDER],
        postgres: None,
        reach: Reach::Workflows,
    },
    Check {
        id: "CLAIMS",
        title: "nobody waits for an executor that is buried",
        queries: &[CLAIMED_BY_DEAD],
        postgres: None,
        reach: Reach::Workflows,
    },
    Check {
        id: "NEWS",
        title: "news are taken in: none stays of what is over or gone",
        queries: &[NEWS_OF_ENDED, NEWS_OF_NOTHING],
        postgres: None,
        reach: Reach::Lasting,
    },
    Check {
        id: "CALLS",
        title: "the calls of a shard are numbered without gaps, up to its last",
        queries: &[CALL_GAP, CALL_BEYOND],
        postgres: None,
        reach: Reach::Whole,
    },
];

const NO_HOLDING: &str = "
    SELECT NULL::uuid, 'slot ' || s.slot || ' of role ' || s.role || ' has no lease to take'
    FROM (SELECT 'controller' AS role, generate_series(0, 63) AS slot
        UNION ALL SELECT 'scheduler', 0) s
    WHERE NOT EXISTS (SELECT 1 FROM lease l WHERE l.role = s.role AND l.slot = s.slot)
    OR NOT EXISTS (SELECT 1 FROM holding h WHERE h.role = s.role AND h.slot = s.slot)";

const HALF_HELD: &str = "
    SELECT NULL::uuid, 'slot ' || slot || ' of role ' || role
        || CASE WHEN holder IS NULL THEN ' is held by nobody, with an end'
        ELSE ' is held without an end' END
    FROM holding WHERE (holder IS NULL) <> (until IS NULL)";

const HELD_BY_NOBODY: &str = "
    SELECT NULL::uuid, 'slot ' || slot || ' of role ' || role || ' is held by ' || holder
        || ', which is not known'
    FROM holding h WHERE holder IS NOT NULL AND until > clock_timestamp()
    AND NOT EXISTS (SELECT 1 FROM member m WHERE m.role = h.role AND m.instance = h.holder)";

const NEVER_RAISED: &str = "
    SELECT NULL::uuid, 'slot ' || slot || ' of role ' || role || ' is held in epoch 0'
    FROM holding JOIN lease USING (role, slot) WHERE holder IS NOT NULL AND epoch = 0";

const ORDER_FOR_NOTHING: &str = "
    SELECT o.workflow, 'attempt ' || o.number || ' of task ' || o.node
        || ' has a work order, but is neither runnable nor open'
    FROM work_order o
    WHERE NOT EXISTS (SELECT 1 FROM runnable r
        WHERE r.workflow = o.workflow AND r.node = o.node AND r.number = o.number)
    AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.workflow = o.workflow AND a.node = o.node
        AND a.number = o.number AND a.ended_at IS NULL)";

const OPEN_WITHOUT_ORDER: &str = "
    SELECT a.workflow, 'attempt ' || a.number || ' of task ' || a.node
        || ' waits for an executor without a work order'
    FROM attempt a WHERE a.ended_at IS NULL AND a.instance IS NULL
    AND NOT EXISTS (SELECT 1 FROM work_order o
        WHERE o.workflow = a.workflow AND o.node = a.node AND o.number = a.number)";

/// What outlives its executor waits for the next one of its kind, however long there is none.
const CLAIMED_BY_DEAD: &str = "
    SELECT a.workflow, 'attempt ' || a.number || ' of task ' || a.node || ' is claimed by executor '
        || a.instance || ', which is buried, and nobody is told'
    FROM attempt a JOIN member m ON m.role = 'executor' AND m.instance = a.instance AND m.buried
    WHERE a.ended_at IS NULL AND NOT m.keeps AND NOT EXISTS (SELECT 1 FROM news n
        WHERE n.workflow = a.workflow AND n.node = a.node AND n.number = a.number AND n.finished)";

/// The second of two reports of an end is such news until the controller's next turn.
const NEWS_OF_ENDED: &str = "
    SELECT n.workflow, 'news ' || n.id || ' are of attempt ' || n.number || ' of task ' || n.node
        || ', which has ended'
    FROM news n JOIN attempt a USING (workflow, node, number)
    JOIN holding h ON h.role = 'controller' AND h.slot = n.shard AND h.until > clock_timestamp()
    WHERE a.ended_at IS NOT NULL";

const NEWS_OF_NOTHING: &str = "
    SELECT n.workflow, 'news ' || n.id || ' are of a workflow that is gone'
    FROM news n JOIN holding h ON h.role = 'controller' AND h.slot = n.shard AND h.until > clock_timestamp()
    WHERE NOT EXISTS (SELECT 1 FROM workflow w WHERE w.id = n.workflow)";

const CALL_GAP: &str = "
    SELECT NULL::uuid, 'shard ' || shard || ' has ' || count(*) || ' calls, numbered ' || min(seq)
        || ' to ' || max(seq) || ', its last is ' || coalesce(max(l.last), 0)
    FROM call LEFT JOIN call_log l USING (shard) GROUP BY shard
    HAVING max(seq) - min(seq) + 1 <> count(*) OR max(seq) IS DISTINCT FROM max(l.last)";

const CALL_BEYOND: &str = "
    SELECT NULL::uuid, 'shard ' || s || ' has no log of calls' FROM generate_series(0, 63) s
    WHERE NOT EXISTS (SELECT 1 FROM call_log l WHERE l.shard = s)";
