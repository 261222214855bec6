-- Where a server may be asked: the scheduler that leads, by API servers. Servers of the schema before do
-- not say it, and their rows have none.
ALTER TABLE member ADD COLUMN url text;
