-- What may start is a work order whose attempt was not admitted, and no row of its own. Takes ACCESS EXCLUSIVE
-- locks on runnable, work_order and attempt for a moment and rewrites nothing. A program that knows schema 9
-- cannot run beside it: it would take orders away where it admits.

-- Null: its controller runs attempts itself; whoever claims it for others reports it lost, and the task tries again.
ALTER TABLE work_order
    ALTER COLUMN body DROP NOT NULL,
    ALTER COLUMN priority SET DEFAULT 0,
    ALTER COLUMN since SET DEFAULT (extract(epoch FROM now()) * 1000)::bigint,
    ALTER COLUMN cpu SET DEFAULT 0,
    ALTER COLUMN memory SET DEFAULT 0,
    ALTER COLUMN gpu SET DEFAULT 0;
-- Left by a server that runs attempts itself, of attempts that it took back: nothing may start by them.
DELETE FROM work_order o WHERE NOT EXISTS (SELECT 1 FROM runnable r
        WHERE r.workflow = o.workflow AND r.node = o.node AND r.number = o.number)
    AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.workflow = o.workflow AND a.node = o.node
        AND a.number = o.number AND a.ended_at IS NULL);
INSERT INTO work_order (workflow, node, number) SELECT workflow, node, number FROM runnable
    ON CONFLICT DO NOTHING;
DROP TABLE runnable;

-- Nothing is written through it, so that a server of an earlier version fails instead of taking orders away.
CREATE VIEW runnable AS
    WITH o AS (SELECT workflow, node, number FROM work_order)
    SELECT workflow, (get_byte(uuid_send(workflow), 15) & 63)::smallint AS shard, node, number
    FROM o WHERE NOT EXISTS (SELECT 1 FROM attempt a
        WHERE a.workflow = o.workflow AND a.node = o.node AND a.number = o.number);

-- An attempt is written three times: room for all of them in the page where it began keeps claims out of the indexes.
ALTER TABLE attempt SET (fillfactor = 40);
