-- Roles of their own: what controllers, a scheduler and executors leave for each other. Takes an
-- ACCESS EXCLUSIVE lock on attempt for a moment and rewrites nothing.

-- Who may do what is done by one at a time. The epoch rises when a slot changes hands; a write locks
-- its row FOR SHARE, which leaves no dead row. Renewals use another table.
CREATE TABLE lease (
    role  text     COLLATE "C" NOT NULL CHECK (role IN ('controller', 'scheduler')),
    slot  smallint NOT NULL CHECK (slot BETWEEN 0 AND 63),
    epoch bigint   NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    PRIMARY KEY (role, slot)
) WITH (fillfactor = 20);
INSERT INTO lease (role, slot) SELECT 'controller', generate_series(0, 63);
INSERT INTO lease (role, slot) VALUES ('scheduler', 0);

CREATE TABLE holding (
    role   text     COLLATE "C" NOT NULL,
    slot   smallint NOT NULL,
    holder uuid,
    until  timestamptz,
    PRIMARY KEY (role, slot),
    FOREIGN KEY (role, slot) REFERENCES lease (role, slot)
) WITH (fillfactor = 20);
INSERT INTO holding (role, slot) SELECT role, slot FROM lease;

-- Servers that said that they live. An executor that did not in time is buried: its row stays for a
-- day, so that it learns of it.
CREATE TABLE member (
    role     text        COLLATE "C" NOT NULL CHECK (role IN ('controller', 'scheduler', 'executor')),
    instance uuid        NOT NULL,
    until    timestamptz NOT NULL,
    capacity bigint      NOT NULL CHECK (capacity >= 0),
    buried   boolean     NOT NULL DEFAULT FALSE,
    PRIMARY KEY (role, instance)
) WITH (fillfactor = 50);

-- What an attempt is to do, and what the scheduler decides by, from the moment it may start until it
-- has ended. Inserted and deleted, never updated.
CREATE TABLE work_order (
    workflow    uuid    NOT NULL,
    node        integer NOT NULL,
    number      integer NOT NULL CHECK (number >= 1),
    priority    integer NOT NULL,
    since       bigint  NOT NULL,
    parallelism bigint,
    cpu         bigint  NOT NULL, -- thousandths of a core
    memory      bigint  NOT NULL, -- bytes
    gpu         bigint  NOT NULL,
    body        text    NOT NULL, -- JSON
    PRIMARY KEY (workflow, node, number)
);
ALTER TABLE work_order ALTER COLUMN body SET COMPRESSION lz4;
ALTER TABLE work_order SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

-- An attempt that nobody has claimed has no instance.
ALTER TABLE attempt ALTER COLUMN instance DROP NOT NULL;
ALTER TABLE attempt ADD COLUMN stop boolean NOT NULL DEFAULT FALSE;

-- For the controllers. Ids are not in the order in which they are committed: who reads them reads
-- all, and deletes what it has taken in.
CREATE TABLE news (
    id       bigint   PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    workflow uuid     NOT NULL,
    shard    smallint NOT NULL
        GENERATED ALWAYS AS ((get_byte(uuid_send(workflow), 15) & 63)::smallint) STORED,
    node     integer  NOT NULL,
    number   integer  NOT NULL, -- of the attempt; 0: news of the task
    finished boolean  NOT NULL, -- the attempt has ended
    body     text     NOT NULL -- JSON
);
CREATE INDEX news_of_attempt ON news (workflow, node, number);
ALTER TABLE news SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

-- For the scheduler: one row for each commit and shard, numbered from 1 without gaps.
CREATE TABLE call_log (
    shard smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 63),
    last  bigint   NOT NULL DEFAULT 0
) WITH (fillfactor = 20);
INSERT INTO call_log (shard) SELECT generate_series(0, 63);
CREATE TABLE call (
    shard smallint NOT NULL,
    seq   bigint   NOT NULL,
    body  text     NOT NULL, -- JSON, a list
    PRIMARY KEY (shard, seq)
);
ALTER TABLE call ALTER COLUMN body SET COMPRESSION lz4;
ALTER TABLE call SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
