-- How to reach a person, and free attributes, as one document. The revision of the account guards it.
CREATE TABLE person_data (
    account  INTEGER PRIMARY KEY REFERENCES account (key) ON DELETE CASCADE,
    document TEXT    NOT NULL
) STRICT;
