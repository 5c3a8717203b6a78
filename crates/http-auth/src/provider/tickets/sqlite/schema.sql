-- A provider's ticket store. Times are the site's, in milliseconds since 1970. Rows may be deleted
-- after `until`.

-- Accepted tickets. Requests are signed with `secret`.
CREATE TABLE ticket (
  id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  application TEXT    NOT NULL,
  secret      BLOB    NOT NULL CHECK (length(secret) = 32),
  expires     INTEGER NOT NULL,
  auth_data   TEXT    NOT NULL,
  until       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Accepted requests; `name` is SHA-256 of ticket id and nonce.
CREATE TABLE request (
  name        BLOB    NOT NULL PRIMARY KEY CHECK (length(name) = 32),
  until       INTEGER NOT NULL,
  application TEXT    NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE INDEX ticket_until ON ticket (until);
CREATE INDEX request_until ON request (until);
