-- Peer sites, and the messages between their people.

-- A peer is one document. The other columns are copies of its fields for indexes, and its counters. A removed peer stays
-- as a tombstone. A zone belongs to one peer.
CREATE TABLE peer (
    key       INTEGER PRIMARY KEY,
    site      BLOB    NOT NULL UNIQUE CHECK (length(site) = 32),
    zone      TEXT    NOT NULL,
    state     TEXT    NOT NULL CHECK (state IN ('active', 'suspended', 'removed')),
    document  TEXT    NOT NULL,
    last_seen INTEGER,
    sent      INTEGER NOT NULL,
    received  INTEGER NOT NULL,
    revision  INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX peer_zone ON peer (zone) WHERE state <> 'removed';

-- The numbers of the last messages of each pair of persons. They outlive the messages, so that a message that comes
-- again is known.
CREATE TABLE peer_pair (
    peer     INTEGER NOT NULL REFERENCES peer (key) ON DELETE CASCADE,
    account  INTEGER NOT NULL REFERENCES account (key) ON DELETE CASCADE,
    other    TEXT    NOT NULL,
    sent     INTEGER NOT NULL,
    received INTEGER NOT NULL,
    PRIMARY KEY (peer, account, other)
) STRICT, WITHOUT ROWID;

CREATE INDEX peer_pair_by_account ON peer_pair (account);

-- `text` is sealed under the root secret of the site. `why` and `refused` are those of a message that the peer will not accept.
CREATE TABLE peer_outbox (
    key     INTEGER PRIMARY KEY AUTOINCREMENT,
    id      BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    peer    INTEGER NOT NULL REFERENCES peer (key) ON DELETE CASCADE,
    account INTEGER NOT NULL REFERENCES account (key) ON DELETE CASCADE,
    other   TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    text    BLOB    NOT NULL,
    at      INTEGER NOT NULL,
    refused INTEGER,
    why     TEXT
) STRICT;

CREATE INDEX peer_outbox_waiting ON peer_outbox (peer, key) WHERE refused IS NULL;
CREATE INDEX peer_outbox_by_account ON peer_outbox (account, id);

CREATE TABLE peer_inbox (
    key      INTEGER PRIMARY KEY AUTOINCREMENT,
    id       BLOB    NOT NULL CHECK (length(id) = 16),
    peer     INTEGER NOT NULL REFERENCES peer (key) ON DELETE CASCADE,
    account  INTEGER NOT NULL REFERENCES account (key) ON DELETE CASCADE,
    other    TEXT    NOT NULL,
    number   INTEGER NOT NULL,
    text     BLOB    NOT NULL,
    sent     INTEGER NOT NULL,
    received INTEGER NOT NULL
) STRICT;

CREATE INDEX peer_inbox_by_account ON peer_inbox (account, key);
CREATE INDEX peer_inbox_by_peer ON peer_inbox (peer);
