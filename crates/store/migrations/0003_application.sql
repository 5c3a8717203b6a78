-- Applications that call each other. Each is one document: all of it is read and written at once.
CREATE TABLE application (
    id       TEXT    PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
