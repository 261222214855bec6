-- Several clusters by name. Takes ACCESS EXCLUSIVE locks on project, attempt and member for a moment and rewrites
-- nothing. Servers that know schema 15 work beside it as long as no project names a cluster: a scheduler of theirs
-- that leads would admit what is to run there for its own.

-- Where its tasks run; null: in the cluster of whoever schedules.
ALTER TABLE project ADD COLUMN cluster text COLLATE "C";

-- For whose executors it was admitted; null: by a server of before, for whoever is sent it.
ALTER TABLE attempt ADD COLUMN cluster text COLLATE "C";

-- Of an executor, where it is; null: it is one of before, and where the scheduler is.
ALTER TABLE member ADD COLUMN cluster text COLLATE "C";
