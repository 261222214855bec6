-- Drops schedules and what is known of their runs. Takes ACCESS EXCLUSIVE locks.
DROP TABLE schedule_run, schedule;
