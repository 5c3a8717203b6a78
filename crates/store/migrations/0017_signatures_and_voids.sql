-- Heads of the audit log that the site signed itself: after each change of lockdowns, each unsealing and each new key.
-- Two heads with the same number show that the log was rewritten, so both are kept.
CREATE TABLE audit_signature (
    seq  INTEGER NOT NULL,
    head BLOB    NOT NULL CHECK (length(head) = 152),
    PRIMARY KEY (seq, head)
) STRICT, WITHOUT ROWID;

-- Void tickets of which a peer is to be told, until it was told or the tickets have ended.
CREATE TABLE peer_void (
    peer     INTEGER NOT NULL REFERENCES peer (key) ON DELETE CASCADE,
    consumer TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (peer, consumer)
) STRICT, WITHOUT ROWID;
