DROP TABLE signing_key;
DROP TABLE cluster;
ALTER TABLE member DROP COLUMN keeps;
ALTER TABLE attempt DROP COLUMN pod;
