-- What a search compares (`countersign_core::accounts::search_words`): the table in the order of names, for a text with
-- which most accounts begin; its index in the order of words, for one that few begin with.
CREATE TABLE account_word (
    service INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    word    TEXT    NOT NULL,
    PRIMARY KEY (service, name, word)
) STRICT, WITHOUT ROWID;

CREATE INDEX account_by_word ON account_word (service, word);

-- Opening the store writes the words of accounts that have none, so a change by hand is found after the next start.
CREATE TRIGGER a_deleted_account_is_not_found AFTER DELETE ON account BEGIN
    DELETE FROM account_word WHERE service = (old.kind = 'service') AND name = old.name;
END;

CREATE TRIGGER a_changed_account_is_not_found AFTER UPDATE OF name, kind, full_name, email ON account
WHEN (old.name, old.kind, old.full_name, old.email) <> (new.name, new.kind, new.full_name, new.email) BEGIN
    DELETE FROM account_word WHERE service = (old.kind = 'service') AND name = old.name;
END;

DROP INDEX person_search;
