-- Tenants, departments, groups, projects and quotas that people edit. Rewrites quota, which nothing
-- wrote before.

-- One row: rises with every change of any of the tables, by whomever, so that whoever keeps a copy
-- asks for one number.
CREATE TABLE organization (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT INTO organization (one, version) VALUES (1, 1);

-- Null: no limit at this level.
CREATE TABLE quota_next (
    id                       INTEGER PRIMARY KEY,
    uid                      BLOB    NOT NULL UNIQUE CHECK (length(uid) = 16),
    tenant                   INTEGER NOT NULL REFERENCES tenant (id),
    name                     TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 253),
    cpu_limit_millis         INTEGER CHECK (cpu_limit_millis >= 0),
    cpu_request_millis       INTEGER CHECK (cpu_request_millis >= 0),
    memory_limit_mib         INTEGER CHECK (memory_limit_mib >= 0),
    memory_request_mib       INTEGER CHECK (memory_request_mib >= 0),
    gpu_limit                INTEGER CHECK (gpu_limit >= 0),
    max_concurrent_pods      INTEGER CHECK (max_concurrent_pods >= 0),
    max_concurrent_workflows INTEGER CHECK (max_concurrent_workflows >= 0),
    storage_limit_gib        INTEGER CHECK (storage_limit_gib >= 0),
    priority_weight          INTEGER NOT NULL DEFAULT 100 CHECK (priority_weight > 0),
    created_at               INTEGER NOT NULL,
    deleted_at               INTEGER,
    version                  INTEGER NOT NULL DEFAULT 1
) STRICT;
INSERT INTO quota_next SELECT *, 1 FROM quota;
DROP TABLE quota;
ALTER TABLE quota_next RENAME TO quota;
CREATE UNIQUE INDEX quota_name ON quota (tenant, name) WHERE deleted_at IS NULL;

-- draining: it takes nothing new, and is deleted when nothing below it is unfinished.
ALTER TABLE tenant ADD COLUMN draining INTEGER NOT NULL DEFAULT 0 CHECK (draining IN (0, 1));
ALTER TABLE tenant ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE department ADD COLUMN draining INTEGER NOT NULL DEFAULT 0 CHECK (draining IN (0, 1));
ALTER TABLE department ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE grp ADD COLUMN draining INTEGER NOT NULL DEFAULT 0 CHECK (draining IN (0, 1));
ALTER TABLE grp ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE project ADD COLUMN draining INTEGER NOT NULL DEFAULT 0 CHECK (draining IN (0, 1));
ALTER TABLE project ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
-- What its locks are called by, for ever: its name if it is older than this column, so that locks
-- that are held keep their keys; null: its id.
ALTER TABLE project ADD COLUMN lock_name TEXT;
UPDATE project SET lock_name = name WHERE deleted_at IS NULL;

CREATE TRIGGER quota_insert AFTER INSERT ON quota BEGIN
    UPDATE organization SET version = version + 1;
END;
CREATE TRIGGER quota_update AFTER UPDATE ON quota BEGIN
    UPDATE organization SET version = version + 1;
END;
CREATE TRIGGER quota_delete AFTER DELETE ON quota BEGIN
    UPDATE organization SET version = version + 1;
END;
CREATE TRIGGER tenant_insert AFTER INSERT ON tenant BEGIN
    UPDATE organization SET version = version + 1;
END;
CREATE TRIGGER tenant_update AFTER UPDATE ON tenant BEGIN
    UPDATE organization SET version = version + 1;
END;
CREATE TRIGGER tenant_delete AFTER DELETE ON tenant BEGIN
    UPDATE organization SET version = version + 1;
END;
CREATE TRIGGER department_insert AFTER INSERT ON department BEGIN
    UPDATE organization SET version = version + 1;
END;
CREATE TRIGGER department_update AFTER UPDATE ON department BEGIN
    UPDATE organization SET version = version + 1;
END;
CREATE TRIGGER department_delete AFTER DELETE ON department BEGIN
    UPDATE organization SET version = version + 1;
END;
CREATE TRIGGER grp_insert AFTER INSERT ON grp BEGIN
    UPDATE organization SET version = version + 1;
END;
CREATE TRIGGER grp_update AFTER UPDATE ON grp BEGIN
    UPDATE organization SET version = version + 1;
END;
CREATE TRIGGER grp_delete AFTER DELETE ON grp BEGIN
    UPDATE organization SET version = version + 1;
END;
CREATE TRIGGER project_insert AFTER INSERT ON project BEGIN
    UPDATE organization SET version = version + 1;
END;
CREATE TRIGGER project_update AFTER UPDATE ON project BEGIN
    UPDATE organization SET version = version + 1;
END;
CREATE TRIGGER project_delete AFTER DELETE ON project BEGIN
    UPDATE organization SET version = version + 1;
END;
