-- What a provider remembers. Times are the site's, in milliseconds since 1970.

-- Tickets that were presented. `secret` is what requests are signed with.
CREATE TABLE ticket (
  id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  application TEXT    NOT NULL,
  secret      BLOB    NOT NULL CHECK (length(secret) = 32),
  expires     INTEGER NOT NULL,
  auth_data   TEXT    NOT NULL,
  until       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Requests that came: SHA-256 of ticket and nonce.
CREATE TABLE request (
  name        BLOB    NOT NULL PRIMARY KEY CHECK (length(name) = 32),
  until       INTEGER NOT NULL,
  application TEXT    NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE INDEX ticket_until ON ticket (until);
CREATE INDEX request_until ON request (until);
