-- What may start is a work order whose attempt was not admitted, and no row of its own. Takes ACCESS EXCLUSIVE
-- locks on runnable, work_order and attempt for a moment and rewrites nothing. A program that knows schema 9
-- cannot run beside it: it would take orders away where it admits.

-- Null: its controller runs attempts itself; whoever claims it for others reports it lost, and the task tries again.
ALTER TABLE work_order
    ALTER COLUMN body DROP NOT NULL,
    ALTER COLUMN priority SET DEFAULT 0,
    ALTER COLUMN since SET DEFAULT 0,
    ALTER COLUMN cpu SET DEFAULT 0,
    ALTER COLUMN memory SET DEFAULT 0,
    ALTER COLUMN gpu SET DEFAULT 0;
INSERT INTO work_order (workflow, node, number) SELECT workflow, node, number FROM runnable
    ON CONFLICT DO NOTHING;
DROP TABLE runnable;

CREATE VIEW runnable AS
    SELECT workflow, (get_byte(uuid_send(workflow), 15) & 63)::smallint AS shard, node, number
    FROM work_order o WHERE NOT EXISTS (SELECT 1 FROM attempt a
        WHERE a.workflow = o.workflow AND a.node = o.node AND a.number = o.number);

-- An attempt is written three times: room for all of them in the page where it began keeps claims out of the indexes.
ALTER TABLE attempt SET (fillfactor = 40);
