-- The tables of a site, laid out so that what is written together lies together: every primary key
-- ascends, and only what is looked up by a random value (a name, a thumbprint) has an index of random
-- order. A batch of changes then dirties few pages, and one sync carries many changes.

-- `key` is the store's own short name for an account; outside the store it is its `id`.
CREATE TABLE account (
    key       INTEGER PRIMARY KEY,
    id        BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    name      TEXT    NOT NULL UNIQUE,
    kind      TEXT    NOT NULL CHECK (kind IN ('person', 'service')),
    role      TEXT    NOT NULL CHECK (role IN ('admin', 'member', 'service')),
    full_name TEXT    NOT NULL,
    email     TEXT    NOT NULL,
    state     TEXT    NOT NULL CHECK (state IN ('active', 'locked', 'disabled')),
    revision  INTEGER NOT NULL,
    created   INTEGER NOT NULL,
    changed   INTEGER NOT NULL
) STRICT;

-- A few services among a million people are listed without reading the people.
CREATE INDEX service_by_name ON account (name) WHERE kind = 'service';

CREATE TABLE passphrase (
    account         INTEGER PRIMARY KEY REFERENCES account (key) ON DELETE CASCADE,
    version         INTEGER NOT NULL,
    suite           TEXT    NOT NULL,
    setup           BLOB    NOT NULL,
    credential_id   BLOB    NOT NULL,
    record          BLOB    NOT NULL,
    sealed_identity BLOB    NOT NULL,
    certificate     BLOB,
    changed         INTEGER NOT NULL
) STRICT;

CREATE TABLE account_key (
    key         INTEGER PRIMARY KEY,
    account     INTEGER NOT NULL REFERENCES account (key) ON DELETE CASCADE,
    thumbprint  BLOB    NOT NULL UNIQUE CHECK (length(thumbprint) = 32),
    certificate BLOB    NOT NULL,
    agreement   BLOB    NOT NULL CHECK (length(agreement) = 32),
    label       TEXT    NOT NULL,
    added       INTEGER NOT NULL
) STRICT;

CREATE INDEX account_key_by_account ON account_key (account);

CREATE TABLE setting (
    name     TEXT    PRIMARY KEY,
    value    BLOB    NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE script (
    name    TEXT    PRIMARY KEY,
    digest  BLOB    NOT NULL CHECK (length(digest) = 32),
    lines   INTEGER NOT NULL,
    applied INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    seq       INTEGER PRIMARY KEY,
    time      INTEGER NOT NULL,
    account   BLOB,
    actor     TEXT    NOT NULL,
    door      TEXT    NOT NULL,
    operation TEXT    NOT NULL,
    target    TEXT,
    outcome   TEXT    NOT NULL,
    details   TEXT    NOT NULL,
    previous  BLOB    NOT NULL CHECK (length(previous) = 32),
    hash      BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- Whoever has the file can still alter it; the chain of digests tells. This stops mistakes.
CREATE TRIGGER audit_is_not_altered BEFORE UPDATE ON audit
BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;

CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit
BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
