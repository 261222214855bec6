-- Several clusters by name. One process runs tasks in one of them only.

-- Where its tasks run; null: where the scheduler is.
ALTER TABLE project ADD COLUMN cluster TEXT;
