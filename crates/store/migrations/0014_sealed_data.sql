-- The data about applications and the texts of messages are sealed under the root secret of the site. What an earlier
-- version stored in the clear waits here: the next unsealing seals it, stores it in its place, and deletes it here.
-- `text` of an application is its whole document.
CREATE TABLE clear_data (
    key         INTEGER PRIMARY KEY,
    application TEXT    REFERENCES application (id) ON DELETE CASCADE,
    sent        INTEGER REFERENCES peer_outbox (key) ON DELETE CASCADE,
    received    INTEGER REFERENCES peer_inbox (key) ON DELETE CASCADE,
    text        TEXT    NOT NULL
) STRICT;

-- A document that is not JSON is damaged, and cannot be changed.
INSERT INTO clear_data (application, text) SELECT id, document FROM application
WHERE CASE WHEN json_valid(document) THEN document ->> '$.auth_data' END IS NOT NULL;

UPDATE application SET document = json_set(document, '$.auth_data', NULL)
WHERE id IN (SELECT application FROM clear_data);

INSERT INTO clear_data (sent, text) SELECT key, text FROM peer_outbox;
INSERT INTO clear_data (received, text) SELECT key, text FROM peer_inbox;

ALTER TABLE peer_outbox DROP COLUMN text;
ALTER TABLE peer_outbox ADD COLUMN text BLOB NOT NULL DEFAULT x'';
ALTER TABLE peer_inbox DROP COLUMN text;
ALTER TABLE peer_inbox ADD COLUMN text BLOB NOT NULL DEFAULT x'';
