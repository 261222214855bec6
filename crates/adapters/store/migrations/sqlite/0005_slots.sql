-- Workflows that hold their slots: from the first attempt that is admitted to the end, but not while
-- they are paused or suspended and nothing of them runs. A new table only.
CREATE TABLE slot (
    workflow BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- What runs already holds its slot.
INSERT INTO slot SELECT w.id FROM workflow w WHERE w.finished_at IS NULL
    AND EXISTS (SELECT 1 FROM attempt a WHERE a.workflow = w.id AND a.ended_at IS NULL);
