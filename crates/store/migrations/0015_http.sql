-- Access tokens, and the requests over HTTP that were completed. Both belong to an account by its key, never by its
-- name, and are deleted with it.

-- Of a token, its SHA-256 is stored and nothing else. `operations` is a JSON list of names.
CREATE TABLE access_token (
    key        INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    account    INTEGER NOT NULL REFERENCES account (key) ON DELETE CASCADE,
    token_hash BLOB    NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    label      TEXT    NOT NULL,
    operations TEXT    NOT NULL,
    created    INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    last_used  INTEGER
) STRICT;

CREATE INDEX access_token_by_account ON access_token (account);

-- Bounds what one account stores: the limit is MAX_TOKENS_PER_ACCOUNT.
CREATE TRIGGER an_account_has_room_for_access_tokens BEFORE INSERT ON access_token
WHEN (SELECT count(*) FROM access_token WHERE account = new.account) >= 64
BEGIN SELECT raise(ABORT, 'failed: access_token.room'); END;

-- `idempotency_key` and `request` are SHA-256.
CREATE TABLE completed_request (
    account         INTEGER NOT NULL REFERENCES account (key) ON DELETE CASCADE,
    idempotency_key BLOB    NOT NULL CHECK (length(idempotency_key) = 32),
    request         BLOB    NOT NULL CHECK (length(request) = 32),
    at              INTEGER NOT NULL,
    PRIMARY KEY (account, idempotency_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX completed_request_by_time ON completed_request (account, at);
