-- ACCESS EXCLUSIVE locks on work_order and attempt for a moment; work_order is read once.
ALTER TABLE attempt SET (fillfactor = 70);
DROP VIEW runnable;
CREATE TABLE runnable (
    workflow uuid     NOT NULL,
    shard    smallint NOT NULL
        GENERATED ALWAYS AS ((get_byte(uuid_send(workflow), 15) & 63)::smallint) STORED,
    node     integer  NOT NULL,
    number   integer  NOT NULL CHECK (number >= 1),
    PRIMARY KEY (workflow, node, number)
);
ALTER TABLE runnable SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
INSERT INTO runnable (workflow, node, number) SELECT workflow, node, number FROM work_order o
    WHERE NOT EXISTS (SELECT 1 FROM attempt a
        WHERE a.workflow = o.workflow AND a.node = o.node AND a.number = o.number);
DELETE FROM work_order WHERE body IS NULL;
ALTER TABLE work_order
    ALTER COLUMN body SET NOT NULL,
    ALTER COLUMN priority DROP DEFAULT,
    ALTER COLUMN since DROP DEFAULT,
    ALTER COLUMN cpu DROP DEFAULT,
    ALTER COLUMN memory DROP DEFAULT,
    ALTER COLUMN gpu DROP DEFAULT;
