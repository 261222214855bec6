DROP TABLE installation;
DROP TABLE cluster;
ALTER TABLE member DROP COLUMN keeps;
ALTER TABLE attempt DROP COLUMN pod;
