-- What is delivered of a person to whoever names them, with the encryption option `delivered-key`.
CREATE TABLE delivered_key (
    account       INTEGER PRIMARY KEY REFERENCES account (key) ON DELETE CASCADE,
    certificate   BLOB    NOT NULL,
    encrypted_key BLOB    NOT NULL,
    changed       INTEGER NOT NULL
) STRICT;
