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

-- Who holds which lock and who waits for it, in the order of rank. A lock is its key; it is there
-- as long as somebody holds it or waits for it.
CREATE TABLE lock (
    workflow BLOB    NOT NULL,
    node     INTEGER NOT NULL CHECK (node >= 0),
    key      TEXT    NOT NULL,
    capacity INTEGER NOT NULL CHECK (capacity >= 1), -- how many may hold it
    state    TEXT    NOT NULL CHECK (state = 'waiting' OR state = 'held'),
    priority INTEGER NOT NULL,
    since    INTEGER NOT NULL, -- it has stood in this state
    PRIMARY KEY (workflow, node, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX lock_key ON lock (key);

-- Outputs to be given again to tasks with the same key.
CREATE TABLE memo (
    project  INTEGER NOT NULL REFERENCES project (id),
    cache    TEXT    NOT NULL,
    key      TEXT    NOT NULL,
    workflow BLOB    NOT NULL, -- whose task gave them; it may be gone
    node     INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    outputs  TEXT    NOT NULL, -- JSON
    PRIMARY KEY (project, cache, key)
) STRICT, WITHOUT ROWID;
