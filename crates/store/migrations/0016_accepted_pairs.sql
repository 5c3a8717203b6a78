-- Whether the other person of a pair has accepted a message. It limits how many new recipients wait for a peer. Pairs
-- of before count as known.
ALTER TABLE peer_pair ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0;

UPDATE peer_pair SET accepted = 1 WHERE sent > 0;
