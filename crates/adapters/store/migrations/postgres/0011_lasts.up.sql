-- How long attempts may run, so that a scheduler that begins to lead knows who may start beside a claim. Takes an
-- ACCESS EXCLUSIVE lock on work_order for a moment and rewrites nothing. Programs that know schema 10 run beside it.

-- Null: nobody knows.
ALTER TABLE work_order
    ADD COLUMN lasts bigint CHECK (lasts >= 0); -- milliseconds
