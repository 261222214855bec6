-- What was admitted for other clusters may then be claimed by any executor that is sent it.
ALTER TABLE member DROP COLUMN cluster;
ALTER TABLE attempt DROP COLUMN cluster;
ALTER TABLE project DROP COLUMN cluster;
