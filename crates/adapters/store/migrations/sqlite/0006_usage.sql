-- What was used, interval by interval, for charts; and what claims of workflows ask for.

-- Bytes of all its claims.
ALTER TABLE workflow ADD COLUMN storage INTEGER NOT NULL DEFAULT 0;

CREATE TABLE usage_history (
    entity BLOB    NOT NULL CHECK (length(entity) = 16), -- all zeros: the installation
    at     INTEGER NOT NULL, -- when the interval began, in milliseconds
    level  TEXT, -- null: the installation
    looks  INTEGER NOT NULL CHECK (looks > 0),
    body   TEXT    NOT NULL, -- JSON: of each amount the sum over all looks and the most, and limits
    PRIMARY KEY (entity, at)
) STRICT, WITHOUT ROWID;
-- What is over its time.
CREATE INDEX usage_history_at ON usage_history (at);
