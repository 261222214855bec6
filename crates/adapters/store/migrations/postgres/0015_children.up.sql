-- Workflows that tasks start. Takes an ACCESS EXCLUSIVE lock on work_order for as long as it takes to read it. A program
-- that knows schema 14 cannot run beside it: it would end workflows that start others, which it cannot read.

CREATE TABLE child (
    workflow uuid    PRIMARY KEY,
    -- The attempt that started it.
    parent   uuid    NOT NULL,
    node     integer NOT NULL,
    number   integer NOT NULL,
    -- In whose slot it runs; null if nobody waits for it: in its own.
    root     uuid,
    depth    integer NOT NULL CHECK (depth >= 1)
);
CREATE UNIQUE INDEX child_of_parent ON child (parent, node, number);

-- Without a pod: nobody claims it, its controller carries it out.
ALTER TABLE work_order
    DROP CONSTRAINT work_order_pods_check,
    ADD CONSTRAINT work_order_pods_check CHECK (pods >= 0);
