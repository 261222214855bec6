-- An ACCESS EXCLUSIVE lock on attempt. Attempts that nobody has claimed cannot be said in the older
-- schema: they go back to where they were, and are admitted again.
DROP TABLE call, call_log, news, work_order, member, holding, lease;
WITH unclaimed AS (DELETE FROM attempt WHERE instance IS NULL AND ended_at IS NULL
    RETURNING workflow, node, number)
INSERT INTO runnable (workflow, node, number) SELECT workflow, node, number FROM unclaimed;
DELETE FROM attempt WHERE instance IS NULL;
ALTER TABLE attempt ALTER COLUMN instance SET NOT NULL;
ALTER TABLE attempt DROP COLUMN stop;
