-- Forgets what tenants said. An ACCESS EXCLUSIVE lock on tenant for a moment.
ALTER TABLE tenant
    DROP COLUMN retain_completed, DROP COLUMN retain_succeeded, DROP COLUMN retain_failed;
