-- An ACCESS EXCLUSIVE lock on work_order for a moment; rewrites nothing.
ALTER TABLE work_order DROP COLUMN lasts;
