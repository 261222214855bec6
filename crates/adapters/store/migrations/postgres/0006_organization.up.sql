-- Tenants, departments, groups, projects and quotas that people edit. Takes ACCESS EXCLUSIVE locks on
-- these five tables for a moment, and rewrites project if it has rows besides the default one; they
-- are small. A program that knows schema 4 runs beside it: it takes no notice of projects that drain,
-- and makes projects that are found under their names only.

-- One row: rises with every change of any of the tables, by whomever, so that whoever keeps a copy
-- asks for one number. Who edits locks it, and so edits come one after another.
CREATE TABLE organization (
    one     boolean PRIMARY KEY DEFAULT TRUE CHECK (one),
    version bigint  NOT NULL
) WITH (fillfactor = 20);
INSERT INTO organization (version) VALUES (1);

-- Null: no limit at this level.
ALTER TABLE quota
    ALTER COLUMN cpu_limit_millis DROP NOT NULL,
    ALTER COLUMN cpu_request_millis DROP NOT NULL,
    ALTER COLUMN memory_limit_mib DROP NOT NULL,
    ALTER COLUMN memory_request_mib DROP NOT NULL,
    ALTER COLUMN gpu_limit DROP NOT NULL,
    ALTER COLUMN max_concurrent_pods DROP NOT NULL,
    ALTER COLUMN max_concurrent_workflows DROP NOT NULL,
    ALTER COLUMN storage_limit_gib DROP NOT NULL,
    ADD COLUMN version bigint NOT NULL DEFAULT 1;

-- draining: it takes nothing new, and is deleted when nothing below it is unfinished.
ALTER TABLE tenant
    ADD COLUMN draining boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN version bigint NOT NULL DEFAULT 1;
ALTER TABLE department
    ADD COLUMN draining boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN version bigint NOT NULL DEFAULT 1;
ALTER TABLE grp
    ADD COLUMN draining boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN version bigint NOT NULL DEFAULT 1;
ALTER TABLE project
    ADD COLUMN draining boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN version bigint NOT NULL DEFAULT 1,
    -- What its locks are called by, for ever: its name if it is older than this column, so that
    -- locks that are held keep their keys; null: its id.
    ADD COLUMN lock_name text COLLATE "C";
UPDATE project SET lock_name = name WHERE deleted_at IS NULL;

CREATE FUNCTION organization_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE organization SET version = version + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON quota
    FOR EACH STATEMENT EXECUTE FUNCTION organization_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON tenant
    FOR EACH STATEMENT EXECUTE FUNCTION organization_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON department
    FOR EACH STATEMENT EXECUTE FUNCTION organization_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON grp
    FOR EACH STATEMENT EXECUTE FUNCTION organization_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON project
    FOR EACH STATEMENT EXECUTE FUNCTION organization_changed();
