-- Enrolment tickets, and the devices that were enrolled with them. Both belong to an account by its key, never by its
-- name, and are deleted with it.

-- `thumbprint` and `device` are those of a bound ticket, `why` is that of a revoked one, and `changed` says since when
-- it is either. Of a token, its SHA-256 is stored and nothing else.
CREATE TABLE enrolment_ticket (
    key        INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    account    INTEGER NOT NULL REFERENCES account (key) ON DELETE CASCADE,
    kind       TEXT    NOT NULL CHECK (kind IN ('device', 'admin', 'passphrase', 'peer')),
    token_hash BLOB    NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    issued     INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('open', 'bound', 'revoked')),
    changed    INTEGER,
    thumbprint BLOB    CHECK (length(thumbprint) = 32),
    device     BLOB    CHECK (length(device) = 16),
    why        TEXT
) STRICT;

CREATE INDEX enrolment_ticket_by_account ON enrolment_ticket (account);

CREATE TABLE device (
    key        INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    account    INTEGER NOT NULL REFERENCES account (key) ON DELETE CASCADE,
    name       TEXT    NOT NULL,
    spki       BLOB    NOT NULL,
    thumbprint BLOB    NOT NULL UNIQUE CHECK (length(thumbprint) = 32),
    created    INTEGER NOT NULL,
    last_seen  INTEGER,
    revision   INTEGER NOT NULL
) STRICT;

CREATE INDEX device_by_account ON device (account);

-- Keys that were taken away from devices, by their thumbprint: they stay removed. Never shortened: a row is 32 bytes,
-- and an account can enrol only so many devices in an hour.
CREATE TABLE removed_device_key (
    thumbprint BLOB PRIMARY KEY CHECK (length(thumbprint) = 32)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER a_removed_device_key_is_remembered AFTER DELETE ON device
BEGIN INSERT OR IGNORE INTO removed_device_key (thumbprint) VALUES (old.thumbprint); END;

CREATE TRIGGER a_removed_device_key_stays_removed BEFORE INSERT ON device
WHEN EXISTS (SELECT 1 FROM removed_device_key WHERE thumbprint = new.thumbprint)
BEGIN SELECT raise(ABORT, 'failed: removed_device_key.thumbprint'); END;
