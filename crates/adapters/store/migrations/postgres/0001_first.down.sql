-- Drops everything there is. Takes ACCESS EXCLUSIVE locks; no data survives.
DROP TABLE outbox, timer, attempt, runnable, event, task, intent, document, gate, workflow,
    controller, project, grp, department;
ALTER TABLE quota DROP CONSTRAINT quota_tenant_fkey;
DROP TABLE tenant, quota;
