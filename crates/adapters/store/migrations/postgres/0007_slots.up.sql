-- Who holds a slot for workflows, and what attempts may use. Takes an ACCESS EXCLUSIVE lock on work_order
-- for a moment and rewrites nothing. A program that knows schema 6 cannot run beside it: it would tell
-- no scheduler that a workflow ended.

-- Workflows that hold their slots: from the first attempt that is admitted to the end, but not while
-- they are paused or suspended and nothing of them runs. Written by whoever admits.
CREATE TABLE slot (
    workflow uuid PRIMARY KEY
);
ALTER TABLE slot SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

-- Null: as much as was asked for.
ALTER TABLE work_order
    ADD COLUMN cpu_limit    bigint, -- thousandths of a core
    ADD COLUMN memory_limit bigint; -- bytes

-- What runs already holds its slot.
INSERT INTO slot SELECT w.id FROM workflow w WHERE w.finished_at IS NULL
    AND EXISTS (SELECT 1 FROM attempt a WHERE a.workflow = w.id AND a.ended_at IS NULL);
