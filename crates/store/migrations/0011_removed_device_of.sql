-- The account and the name of a device that was revoked, so that an alarm about its key names them. NULL after the
-- account was deleted, and for devices that were revoked before.
ALTER TABLE removed_device_key ADD COLUMN account BLOB CHECK (length(account) = 16);
ALTER TABLE removed_device_key ADD COLUMN name TEXT;

DROP TRIGGER a_removed_device_key_is_remembered;

CREATE TRIGGER a_removed_device_key_is_remembered AFTER DELETE ON device
BEGIN
    INSERT OR IGNORE INTO removed_device_key (thumbprint, account, name)
    VALUES (old.thumbprint, (SELECT id FROM account WHERE key = old.account), old.name);
END;
