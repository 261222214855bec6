-- Attempts that run in pods, which outlive their executor. Servers of the schemas before work beside it, but
-- a scheduler of theirs that leads reports what a dead executor of pods ran as lost. Takes ACCESS EXCLUSIVE
-- locks on attempt and member for a moment and rewrites nothing.

-- The pod that has begun the attempt: no other may.
ALTER TABLE attempt ADD COLUMN pod uuid;

-- What it runs outlives it: when it is buried, others claim that.
ALTER TABLE member ADD COLUMN keeps boolean NOT NULL DEFAULT FALSE;

-- Clusters, as their executors see them: whose tokens pods show.
CREATE TABLE cluster (
    name   text COLLATE "C" PRIMARY KEY,
    issuer text NOT NULL,
    keys   text NOT NULL -- a JSON Web Key Set
);

-- Who we are to clusters that others use too, and what tokens of attempts are signed with: made here, once.
CREATE TABLE installation (
    one boolean PRIMARY KEY DEFAULT TRUE CHECK (one),
    id  uuid    NOT NULL DEFAULT gen_random_uuid(),
    key bytea   NOT NULL CHECK (length(key) = 32)
);
INSERT INTO installation (key)
SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());
