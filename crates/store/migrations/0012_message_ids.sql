-- The ids of the last messages that were received of a pair of persons, newest first, 16 bytes each: as many as one batch
-- has. They tell a message that comes again from another message with a number that was used.
ALTER TABLE peer_pair ADD COLUMN recent BLOB NOT NULL DEFAULT x'';
