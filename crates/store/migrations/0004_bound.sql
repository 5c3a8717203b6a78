-- What stays bound: removed keys stay removed, a key serves one account or one application, and an application
-- names its service by the account's id.

-- Keys that were taken away from accounts, by the key that is agreed with. Never shortened: a row is 32 bytes, and
-- only an admin's operation makes one.
CREATE TABLE removed_key (
    agreement BLOB PRIMARY KEY CHECK (length(agreement) = 32)
) STRICT, WITHOUT ROWID;

CREATE INDEX account_key_by_agreement ON account_key (agreement);

CREATE TRIGGER a_removed_key_is_remembered AFTER DELETE ON account_key
BEGIN INSERT OR IGNORE INTO removed_key (agreement) VALUES (old.agreement); END;

CREATE TRIGGER a_removed_key_stays_removed BEFORE INSERT ON account_key
WHEN EXISTS (SELECT 1 FROM removed_key WHERE agreement = new.agreement)
BEGIN SELECT raise(ABORT, 'failed: removed_key.agreement'); END;

CREATE TRIGGER a_key_serves_one_account BEFORE INSERT ON account_key
WHEN EXISTS (SELECT 1 FROM account_key WHERE agreement = new.agreement)
BEGIN SELECT raise(ABORT, 'failed: account_key.thumbprint'); END;

-- No two records of pass phrases have the same name within OPAQUE.
CREATE UNIQUE INDEX passphrase_by_credential_id ON passphrase (credential_id);

-- Public keys of applications, as they stand in the documents. `application` is empty for one that was removed.
CREATE TABLE application_key (
    public      TEXT NOT NULL,
    application TEXT NOT NULL,
    PRIMARY KEY (public, application)
) STRICT, WITHOUT ROWID;

CREATE INDEX application_key_by_application ON application_key (application);

INSERT OR IGNORE INTO application_key (public, application)
SELECT json_extract(key.value, '$.public'), application.id
FROM application,
    json_each(iif(json_valid(application.document), application.document, '{}'), '$.keys') AS key
WHERE json_extract(key.value, '$.public') IS NOT NULL;

UPDATE application SET document = json_set(document, '$.service', (
    SELECT lower(substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4)
        || '-' || substr(hex(id), 17, 4) || '-' || substr(hex(id), 21, 12))
    FROM account WHERE account.name = json_extract(application.document, '$.service')
))
WHERE CASE WHEN json_valid(document) THEN json_extract(document, '$.service') END IS NOT NULL;
