-- Forgets who holds a slot, and what attempts may use. ACCESS EXCLUSIVE locks for a moment.
ALTER TABLE work_order DROP COLUMN cpu_limit, DROP COLUMN memory_limit;
DROP TABLE slot;
