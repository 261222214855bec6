-- Schedules and what they started. New tables only: nothing is locked or rewritten.

CREATE TABLE schedule (
    id         uuid    PRIMARY KEY,
    project    bigint  NOT NULL REFERENCES project (id),
    name       text    COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 253),
    bytes      integer NOT NULL CHECK (bytes >= 0), -- of the document before compression
    zstd       bytea   NOT NULL,
    suspended  boolean NOT NULL,
    state      text    NOT NULL, -- JSON
    next_at    bigint,
    problem    text,
    version    bigint  NOT NULL CHECK (version >= 1),
    created_at bigint  NOT NULL,
    updated_at bigint  NOT NULL
);
CREATE UNIQUE INDEX schedule_name ON schedule (project, name);

-- One workflow for a fire time of a schedule.
CREATE TABLE schedule_run (
    schedule uuid   NOT NULL,
    at       bigint NOT NULL,
    workflow uuid   NOT NULL,
    PRIMARY KEY (schedule, at)
);
