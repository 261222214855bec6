-- Stored templates, locks and remembered outputs. Takes no locks worth naming: the tables are new.

-- Documents to be referred to, in versions. A version is never changed; deleting marks all there
-- are, and the next one goes on counting.
CREATE TABLE template (
    id         bigint  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    tenant     bigint  NOT NULL REFERENCES tenant (id),
    project    bigint  REFERENCES project (id), -- null: of all projects
    kind       text    COLLATE "C" NOT NULL CHECK (
        kind IN ('workflow_template', 'cluster_workflow_template', 'config_map')),
    name       text    COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 253),
    version    integer NOT NULL CHECK (version >= 1),
    labels     text    NOT NULL, -- JSON, a list of pairs
    created_at bigint  NOT NULL,
    created_by text    NOT NULL,
    deleted_at bigint,
    bytes      integer NOT NULL CHECK (bytes >= 0), -- of the text before compression
    zstd       bytea   NOT NULL,
    CHECK ((project IS NULL) = (kind = 'cluster_workflow_template'))
);
CREATE UNIQUE INDEX template_version ON template (tenant, kind, coalesce(project, 0), name, version);

-- Locks that tasks hold or wait for. A lock is its key; it is there as long as somebody holds it or
-- waits for it. How many may hold it is what each task knows of it.
CREATE TABLE lock (
    workflow uuid    NOT NULL,
    node     integer NOT NULL CHECK (node >= 0),
    key      text    COLLATE "C" NOT NULL,
    capacity bigint  NOT NULL CHECK (capacity >= 0),
    held     boolean NOT NULL,
    since    bigint  NOT NULL, -- began to wait
    PRIMARY KEY (workflow, node, key)
);
CREATE INDEX lock_key ON lock (key, held);

-- Outputs to be given again to tasks with the same key. The workflow that gave them may be gone.
-- The unique index has 128 bits of hash instead of the key: a key may be longer than an entry of an
-- index. Two keys of a cache that share them replace each other, which costs a hit.
CREATE TABLE memo (
    id       bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    project  bigint NOT NULL REFERENCES project (id),
    cache    text   COLLATE "C" NOT NULL,
    key      text   COLLATE "C" NOT NULL,
    workflow uuid   NOT NULL,
    at       bigint NOT NULL,
    outputs  text   NOT NULL -- JSON
);
CREATE UNIQUE INDEX memo_key
    ON memo (project, cache, hashtextextended(key, 1), hashtextextended(key, 2));
CREATE INDEX memo_age ON memo (project, cache, at);
