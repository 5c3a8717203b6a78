-- Applications whose tickets are void that were issued up to `issued_until`; '' stands for all.
CREATE TABLE void (
  application  TEXT    NOT NULL PRIMARY KEY,
  issued_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
