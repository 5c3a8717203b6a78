-- Heads of audit logs that a peer countersigned (`own` = 1), or that this site countersigned for the peer (`own` = 0).
-- Two heads of this site with the same number show that its log was rewritten, so both are kept.
CREATE TABLE peer_audit_head (
    peer    INTEGER NOT NULL REFERENCES peer (key) ON DELETE CASCADE,
    own     INTEGER NOT NULL CHECK (own IN (0, 1)),
    seq     INTEGER NOT NULL,
    hash    BLOB    NOT NULL CHECK (length(hash) = 32),
    at      INTEGER NOT NULL,
    head    BLOB    NOT NULL CHECK (length(head) = 152),
    receipt BLOB    NOT NULL CHECK (length(receipt) = 144),
    PRIMARY KEY (peer, own, seq, hash)
) STRICT, WITHOUT ROWID;
