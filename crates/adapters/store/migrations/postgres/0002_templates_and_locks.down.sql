-- Drops stored templates, locks and remembered outputs. Takes ACCESS EXCLUSIVE locks.
DROP TABLE memo, lock, template;
