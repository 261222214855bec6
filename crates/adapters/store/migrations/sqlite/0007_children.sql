-- Workflows that tasks started. A new table only.

CREATE TABLE child (
    workflow BLOB    PRIMARY KEY CHECK (length(workflow) = 16),
    -- The attempt that started it.
    parent   BLOB    NOT NULL CHECK (length(parent) = 16),
    node     INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    -- In whose slot it runs; null if nobody waits for it: in its own.
    root     BLOB    CHECK (length(root) = 16),
    depth    INTEGER NOT NULL CHECK (depth >= 1)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX child_of_parent ON child (parent, node, number);
