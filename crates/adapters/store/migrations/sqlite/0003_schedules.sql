-- Schedules and what they started. New tables only: nothing is locked or rewritten.

CREATE TABLE schedule (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    project    INTEGER NOT NULL REFERENCES project (id),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 253),
    bytes      INTEGER NOT NULL CHECK (bytes >= 0), -- of the document before compression
    zstd       BLOB    NOT NULL,
    suspended  INTEGER NOT NULL CHECK (suspended IN (0, 1)),
    state      TEXT    NOT NULL, -- JSON
    next_at    INTEGER,
    problem    TEXT,
    version    INTEGER NOT NULL CHECK (version >= 1),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX schedule_name ON schedule (project, name);

-- One workflow for a fire time of a schedule.
CREATE TABLE schedule_run (
    schedule BLOB    NOT NULL,
    at       INTEGER NOT NULL,
    workflow BLOB    NOT NULL CHECK (length(workflow) = 16),
    PRIMARY KEY (schedule, at)
) STRICT, WITHOUT ROWID;
