-- The first schema. Takes no locks worth naming: the database is new.
--
-- Rules that hold for every table:
--   * times are milliseconds since the Unix epoch, UTC; ids of workflows and instances are the
--     16 bytes of their UUID; statuses, reasons and kinds are the words the API shows: without any
--     check on them a task's writes take 1.6 % fewer instructions, so codes would not pay;
--   * a constraint is a guard: a write that breaks one is refused, whoever wrote it. Words are
--     compared with OR: SQLite builds a temporary index for an IN list at every row, which more
--     than halved the tasks a second of examples/commit_speed.rs;
--   * rows below a workflow have no foreign keys, they are written 10 times a task; the doctor
--     looks for orphans instead.

-- Who may hold how much. A quota may be shared; usage is counted, not stored.
CREATE TABLE quota (
    id                       INTEGER PRIMARY KEY,
    uid                      BLOB    NOT NULL UNIQUE CHECK (length(uid) = 16),
    tenant                   INTEGER NOT NULL REFERENCES tenant (id),
    name                     TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 253),
    cpu_limit_millis         INTEGER NOT NULL DEFAULT 4000 CHECK (cpu_limit_millis >= 0),
    cpu_request_millis       INTEGER NOT NULL DEFAULT 2000 CHECK (cpu_request_millis >= 0),
    memory_limit_mib         INTEGER NOT NULL DEFAULT 8192 CHECK (memory_limit_mib >= 0),
    memory_request_mib       INTEGER NOT NULL DEFAULT 4096 CHECK (memory_request_mib >= 0),
    gpu_limit                INTEGER NOT NULL DEFAULT 0 CHECK (gpu_limit >= 0),
    max_concurrent_pods      INTEGER NOT NULL DEFAULT 10 CHECK (max_concurrent_pods >= 0),
    max_concurrent_workflows INTEGER NOT NULL DEFAULT 5 CHECK (max_concurrent_workflows >= 0),
    storage_limit_gib        INTEGER NOT NULL DEFAULT 100 CHECK (storage_limit_gib >= 0),
    priority_weight          INTEGER NOT NULL DEFAULT 100 CHECK (priority_weight > 0),
    created_at               INTEGER NOT NULL,
    deleted_at               INTEGER
) STRICT;
CREATE UNIQUE INDEX quota_name ON quota (tenant, name) WHERE deleted_at IS NULL;

CREATE TABLE tenant (
    id         INTEGER PRIMARY KEY,
    uid        BLOB    NOT NULL UNIQUE CHECK (length(uid) = 16),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 253),
    quota      INTEGER REFERENCES quota (id),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX tenant_name ON tenant (name) WHERE deleted_at IS NULL;

-- Departments nest.
CREATE TABLE department (
    id         INTEGER PRIMARY KEY,
    uid        BLOB    NOT NULL UNIQUE CHECK (length(uid) = 16),
    tenant     INTEGER NOT NULL REFERENCES tenant (id),
    parent     INTEGER REFERENCES department (id) CHECK (parent <> id),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 253),
    quota      INTEGER REFERENCES quota (id),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX department_name ON department (tenant, coalesce(parent, 0), name)
    WHERE deleted_at IS NULL;

-- A group; `group` is a word of SQL.
CREATE TABLE grp (
    id         INTEGER PRIMARY KEY,
    uid        BLOB    NOT NULL UNIQUE CHECK (length(uid) = 16),
    tenant     INTEGER NOT NULL REFERENCES tenant (id),
    department INTEGER REFERENCES department (id),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 253),
    quota      INTEGER REFERENCES quota (id),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX grp_name ON grp (tenant, coalesce(department, 0), name)
    WHERE deleted_at IS NULL;

CREATE TABLE project (
    id         INTEGER PRIMARY KEY,
    uid        BLOB    NOT NULL UNIQUE CHECK (length(uid) = 16),
    tenant     INTEGER NOT NULL REFERENCES tenant (id),
    grp        INTEGER REFERENCES grp (id),
    name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 253),
    namespace  TEXT,
    quota      INTEGER REFERENCES quota (id),
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX project_name ON project (tenant, coalesce(grp, 0), name)
    WHERE deleted_at IS NULL;

INSERT INTO tenant (id, uid, name, created_at)
VALUES (1, x'00000000000070008000000000000001', 'default',
        CAST(unixepoch('subsec') * 1000 AS INTEGER));
INSERT INTO project (id, uid, tenant, name, created_at)
VALUES (1, x'00000000000070008000000000000002', 1, 'default',
        CAST(unixepoch('subsec') * 1000 AS INTEGER));

-- The lease of the controller, one row a shard: a commit of another epoch is refused.
CREATE TABLE controller (
    shard    INTEGER PRIMARY KEY,
    epoch    INTEGER NOT NULL CHECK (epoch >= 0),
    instance BLOB CHECK (length(instance) = 16)
) STRICT;
INSERT INTO controller (shard, epoch) VALUES (0, 0);

CREATE TABLE workflow (
    id                 BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    tenant             INTEGER NOT NULL REFERENCES tenant (id),
    project            INTEGER NOT NULL REFERENCES project (id),
    name               TEXT    NOT NULL,
    description        TEXT    NOT NULL,
    parameters         TEXT    NOT NULL, -- JSON, a list of pairs: their order is kept
    labels             TEXT    NOT NULL, -- JSON, a list of pairs
    priority           INTEGER NOT NULL,
    submitted_by       TEXT    NOT NULL,
    resubmitted_from   BLOB,
    created_at         INTEGER NOT NULL,
    idempotency_key    TEXT,
    idempotency_digest TEXT,
    seq                INTEGER NOT NULL DEFAULT 0 CHECK (seq >= 0), -- number of the last event
    gate_closed        INTEGER NOT NULL DEFAULT 0 CHECK (gate_closed IN (0, 1)),
    status             TEXT    NOT NULL DEFAULT 'PENDING' CHECK (
        status = 'PENDING' OR status = 'RUNNING' OR status = 'PAUSED' OR status = 'SUCCEEDED'
        OR status = 'FAILED' OR status = 'CANCELLED'),
    reason             TEXT,
    message            TEXT,
    generation         INTEGER NOT NULL DEFAULT 1 CHECK (generation >= 1),
    ending             TEXT CHECK (
        ending = 'deadline' OR ending = 'stop' OR ending = 'terminate' OR ending = 'cancel'),
    started_at         INTEGER,
    finished_at        INTEGER,
    outputs            TEXT, -- JSON
    CHECK (
        (finished_at IS NOT NULL) = (status = 'SUCCEEDED' OR status = 'FAILED'
        OR status = 'CANCELLED')),
    CHECK ((idempotency_key IS NULL) = (idempotency_digest IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX workflow_unfinished ON workflow (id) WHERE finished_at IS NULL;
CREATE INDEX workflow_of_project ON workflow (project, id);
CREATE INDEX workflow_of_status ON workflow (status, id);
CREATE UNIQUE INDEX workflow_idempotency ON workflow (tenant, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- Apart from its workflow, so that lists do not walk over documents.
CREATE TABLE document (
    workflow BLOB    NOT NULL PRIMARY KEY,
    bytes    INTEGER NOT NULL CHECK (bytes >= 0), -- of the text before compression
    zstd     BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- What users asked and no controller has carried out. Ids are never used twice.
CREATE TABLE intent (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    workflow BLOB    NOT NULL,
    command  TEXT, -- JSON; null: it was submitted
    closes   INTEGER NOT NULL CHECK (closes IN (0, 1)), -- it closed the gate
    asked_at INTEGER NOT NULL
) STRICT;
CREATE INDEX intent_of_workflow ON intent (workflow);

CREATE TABLE task (
    workflow    BLOB    NOT NULL,
    node        INTEGER NOT NULL CHECK (node >= 0),
    parent      INTEGER CHECK (parent < node),
    slot        INTEGER NOT NULL,
    kind        TEXT    NOT NULL CHECK (
        kind = 'leaf' OR kind = 'dag' OR kind = 'steps' OR kind = 'loop' OR kind = 'retry'
        OR kind = 'suspend'),
    name        TEXT    NOT NULL,
    template    TEXT    NOT NULL,
    item        TEXT, -- JSON
    status      TEXT    NOT NULL CHECK (
        status = 'PENDING' OR status = 'QUEUED' OR status = 'RUNNING' OR status = 'RETRYING'
        OR status = 'SUCCEEDED' OR status = 'FAILED' OR status = 'SKIPPED'
        OR status = 'CANCELLED'),
    reason      TEXT,
    message     TEXT,
    attempt     INTEGER NOT NULL,
    failures    INTEGER NOT NULL,
    losses      INTEGER NOT NULL,
    exit_code   INTEGER,
    queued_at   INTEGER,
    started_at  INTEGER,
    finished_at INTEGER,
    outputs     TEXT, -- JSON
    PRIMARY KEY (workflow, node),
    CHECK (
        (finished_at IS NOT NULL) = (status = 'SUCCEEDED' OR status = 'FAILED'
        OR status = 'SKIPPED' OR status = 'CANCELLED'))
) STRICT, WITHOUT ROWID;

-- The history. A record of a task has a node and an attempt, one of the workflow a generation.
CREATE TABLE event (
    workflow   BLOB    NOT NULL,
    seq        INTEGER NOT NULL CHECK (seq >= 1),
    at         INTEGER NOT NULL,
    node       INTEGER,
    status     TEXT    NOT NULL,
    reason     TEXT,
    message    TEXT,
    attempt    INTEGER,
    exit_code  INTEGER,
    generation INTEGER,
    PRIMARY KEY (workflow, seq),
    CHECK ((node IS NULL) = (attempt IS NULL) AND (node IS NULL) = (generation IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- Attempts that may be admitted.
CREATE TABLE runnable (
    workflow BLOB    NOT NULL,
    node     INTEGER NOT NULL,
    number   INTEGER NOT NULL CHECK (number >= 1),
    PRIMARY KEY (workflow, node, number)
) STRICT, WITHOUT ROWID;

-- Attempts that were admitted. An open one is a reservation; ending it releases.
CREATE TABLE attempt (
    workflow    BLOB    NOT NULL,
    node        INTEGER NOT NULL,
    number      INTEGER NOT NULL CHECK (number >= 1),
    instance    BLOB    NOT NULL CHECK (length(instance) = 16),
    admitted_at INTEGER NOT NULL,
    started_at  INTEGER,
    ended_at    INTEGER,
    exit_code   INTEGER,
    reason      TEXT,
    message     TEXT,
    PRIMARY KEY (workflow, node, number)
) STRICT, WITHOUT ROWID;
-- INV-5: at most one open attempt per task.
CREATE UNIQUE INDEX attempt_open ON attempt (workflow, node) WHERE ended_at IS NULL;

CREATE TABLE timer (
    workflow BLOB    NOT NULL,
    node     INTEGER NOT NULL,
    kind     TEXT    NOT NULL CHECK (
        kind = 'retry' OR kind = 'timeout' OR kind = 'suspend' OR kind = 'deadline'
        OR kind = 'ttl'),
    at       INTEGER NOT NULL,
    PRIMARY KEY (workflow, node, kind)
) STRICT, WITHOUT ROWID;

-- One row per commit, for followers; the newest 10,000 are kept.
CREATE TABLE outbox (
    shard INTEGER NOT NULL,
    seq   INTEGER NOT NULL, -- from 1, without gaps
    epoch INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    body  TEXT    NOT NULL, -- JSON: [[workflow id, number of its last event], ...]
    PRIMARY KEY (shard, seq)
) STRICT, WITHOUT ROWID;
