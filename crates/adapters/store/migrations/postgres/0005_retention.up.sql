-- How long the workflows of a tenant are kept after they have ended. Takes an ACCESS EXCLUSIVE lock
-- on tenant for a moment and rewrites nothing. A program that knows schema 4 runs beside it.

-- Milliseconds; null: the tenant says nothing, the settings of the server decide.
ALTER TABLE tenant
    ADD COLUMN retain_completed bigint CHECK (retain_completed >= 0),
    ADD COLUMN retain_succeeded bigint CHECK (retain_succeeded >= 0),
    ADD COLUMN retain_failed    bigint CHECK (retain_failed >= 0);
