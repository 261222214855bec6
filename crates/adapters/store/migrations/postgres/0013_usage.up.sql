-- What was used, interval by interval, for charts; and what claims of workflows ask for. Takes an ACCESS EXCLUSIVE lock
-- on workflow for a moment and rewrites nothing. Programs that know schema 12 run beside it: what they submit is
-- counted without its claims.

-- Bytes of all its claims; null: none, or nobody said.
ALTER TABLE workflow ADD COLUMN storage bigint;

CREATE TABLE usage_history (
    entity uuid    NOT NULL, -- all zeros: the installation
    at     bigint  NOT NULL, -- when the interval began, in milliseconds
    level  text    COLLATE "C", -- null: the installation
    looks  integer NOT NULL CHECK (looks > 0),
    body   text    NOT NULL, -- JSON: of each amount the sum over all looks and the most, and limits
    PRIMARY KEY (entity, at)
);
-- What is over its time.
CREATE INDEX usage_history_at ON usage_history (at);
