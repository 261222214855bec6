-- An ACCESS EXCLUSIVE lock on workflow for a moment; rewrites nothing.
DROP TABLE usage_history;
ALTER TABLE workflow DROP COLUMN storage;
