-- Attempts of several pods. Servers of schema 10 and later work beside it, but set workflows with gangs aside and
-- run none, and a scheduler of theirs that leads counts each as one pod. Takes an ACCESS EXCLUSIVE lock on
-- work_order for a moment and rewrites nothing.

-- What is asked for is asked for each of them.
ALTER TABLE work_order ADD COLUMN pods bigint NOT NULL DEFAULT 1 CHECK (pods >= 1);
