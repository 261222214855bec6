-- Attempts of several pods. Takes an ACCESS EXCLUSIVE lock on work_order for a moment and rewrites nothing. A program
-- that knows schema 11 cannot run beside it: it would end workflows with gangs, sidecars or `maxRetries`, which it
-- cannot read, count a gang as one pod, and run tasks without their sidecars.

-- What is asked for is asked for each of them.
ALTER TABLE work_order ADD COLUMN pods bigint NOT NULL DEFAULT 1 CHECK (pods >= 1);
