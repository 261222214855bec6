-- Forgets what drains; what had no limit has the largest. ACCESS EXCLUSIVE locks on five small tables.
DROP TRIGGER changed ON quota;
DROP TRIGGER changed ON tenant;
DROP TRIGGER changed ON department;
DROP TRIGGER changed ON grp;
DROP TRIGGER changed ON project;
DROP FUNCTION organization_changed();
DROP TABLE organization;
UPDATE quota SET
    cpu_limit_millis = coalesce(cpu_limit_millis, 1152921504606846976),
    cpu_request_millis = coalesce(cpu_request_millis, 1152921504606846976),
    memory_limit_mib = coalesce(memory_limit_mib, 1099511627776),
    memory_request_mib = coalesce(memory_request_mib, 1099511627776),
    gpu_limit = coalesce(gpu_limit, 1152921504606846976),
    max_concurrent_pods = coalesce(max_concurrent_pods, 1152921504606846976),
    max_concurrent_workflows = coalesce(max_concurrent_workflows, 1152921504606846976),
    storage_limit_gib = coalesce(storage_limit_gib, 1073741824);
ALTER TABLE quota
    ALTER COLUMN cpu_limit_millis SET NOT NULL,
    ALTER COLUMN cpu_request_millis SET NOT NULL,
    ALTER COLUMN memory_limit_mib SET NOT NULL,
    ALTER COLUMN memory_request_mib SET NOT NULL,
    ALTER COLUMN gpu_limit SET NOT NULL,
    ALTER COLUMN max_concurrent_pods SET NOT NULL,
    ALTER COLUMN max_concurrent_workflows SET NOT NULL,
    ALTER COLUMN storage_limit_gib SET NOT NULL,
    DROP COLUMN version;
ALTER TABLE tenant DROP COLUMN draining, DROP COLUMN version;
ALTER TABLE department DROP COLUMN draining, DROP COLUMN version;
ALTER TABLE grp DROP COLUMN draining, DROP COLUMN version;
ALTER TABLE project DROP COLUMN draining, DROP COLUMN version, DROP COLUMN lock_name;
