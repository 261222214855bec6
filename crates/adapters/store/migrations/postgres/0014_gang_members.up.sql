-- Members of gangs that run in pods. Makes a table and touches no other: programs of schema 12 work beside it, and let
-- no pod of a gang begin.

-- A member whose pod has asked whether it may begin. No other pod may be it.
CREATE TABLE attempt_member (
    workflow uuid    NOT NULL,
    node     integer NOT NULL,
    number   integer NOT NULL,
    member   integer NOT NULL CHECK (member >= 0), -- its number
    pod      uuid    NOT NULL,
    ready    boolean NOT NULL, -- it waits for the others and for nothing else
    turn     integer,          -- how many of them had told their ends before it told its own
    report   text,             -- what it told
    PRIMARY KEY (workflow, node, number, member)
);
