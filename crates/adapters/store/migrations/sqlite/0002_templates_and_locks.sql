-- Stored templates, locks and remembered outputs. Takes no locks worth naming: the tables are new.

-- Documents to be referred to, in versions. A version is never changed; deleting marks all there
-- are, and the next one goes on counting.
CREATE TABLE template (
    id         INTEGER PRIMARY KEY,
    tenant     INTEGER NOT NULL REFERENCES tenant (id),
    project    INTEGER REFERENCES project (id), -- null: of all projects
    kind       TEXT    NOT NULL CHECK (
        kind = 'workflow_template' OR kind = 'cluster_workflow_template' OR kind = 'config_map'),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 253),
    version    INTEGER NOT NULL CHECK (version >= 1),
    labels     TEXT    NOT NULL, -- JSON, a list of pairs
    created_at INTEGER NOT NULL,
    created_by TEXT    NOT NULL,
    deleted_at INTEGER,
    bytes      INTEGER NOT NULL CHECK (bytes >= 0), -- of the text before compression
    zstd       BLOB    NOT NULL,
    CHECK ((project IS NULL) = (kind = 'cluster_workflow_template'))
) STRICT;
CREATE UNIQUE INDEX template_version ON template (tenant, kind, coalesce(project, 0), name, version);

-- Locks that tasks hold or wait for. A lock is its key; it is there as long as somebody holds it or
-- waits for it. How many may hold it is what each task knows of it.
CREATE TABLE lock (
    workflow BLOB    NOT NULL,
    node     INTEGER NOT NULL CHECK (node >= 0),
    key      TEXT    NOT NULL,
    capacity INTEGER NOT NULL CHECK (capacity >= 0),
    held     INTEGER NOT NULL CHECK (held IN (0, 1)),
    since    INTEGER NOT NULL, -- began to wait
    PRIMARY KEY (workflow, node, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX lock_key ON lock (key, held);

-- Outputs to be given again to tasks with the same key. The workflow that gave them may be gone.
CREATE TABLE memo (
    id       INTEGER PRIMARY KEY,
    project  INTEGER NOT NULL REFERENCES project (id),
    cache    TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    workflow BLOB    NOT NULL,
    at       INTEGER NOT NULL,
    outputs  TEXT    NOT NULL, -- JSON
    UNIQUE (project, cache, key)
) STRICT;
CREATE INDEX memo_age ON memo (project, cache, at, key);
