-- Alarms, their recipients, and the outbox of deliveries.

-- An alarm is one document. The other columns are copies of its fields for indexes. `name` is the
-- deduplication key.
CREATE TABLE alarm (
    key       INTEGER PRIMARY KEY,
    id        BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    raiser    TEXT    NOT NULL,
    target    TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    state     TEXT    NOT NULL CHECK (state IN ('open', 'acknowledged', 'over')),
    escalates INTEGER,
    revision  INTEGER NOT NULL,
    document  TEXT    NOT NULL
) STRICT;

CREATE UNIQUE INDEX alarm_current ON alarm (raiser, target, name) WHERE state <> 'over';
CREATE INDEX alarm_over ON alarm (id) WHERE state = 'over';
CREATE INDEX alarm_escalates ON alarm (escalates) WHERE state = 'open' AND escalates IS NOT NULL;

CREATE TRIGGER alarms_are_limited BEFORE INSERT ON alarm
WHEN (SELECT count(*) FROM alarm) >= 10000
BEGIN SELECT raise(ABORT, 'failed: alarm.room'); END;

CREATE TABLE alarm_recipient (
    alarm        INTEGER NOT NULL REFERENCES alarm (key) ON DELETE CASCADE,
    account      INTEGER NOT NULL REFERENCES account (key) ON DELETE CASCADE,
    acknowledged INTEGER,
    PRIMARY KEY (alarm, account)
) STRICT, WITHOUT ROWID;

CREATE INDEX alarm_recipient_by_account ON alarm_recipient (account);

-- The number of alarms of each recipient.
CREATE TABLE alarm_load (
    account INTEGER PRIMARY KEY REFERENCES account (key) ON DELETE CASCADE,
    alarms  INTEGER NOT NULL
) STRICT;

CREATE INDEX alarm_load_high ON alarm_load (alarms) WHERE alarms >= 900;

CREATE TRIGGER alarms_of_a_recipient_are_limited BEFORE INSERT ON alarm_recipient
WHEN (SELECT alarms FROM alarm_load WHERE account = new.account) >= 1000
BEGIN SELECT raise(ABORT, 'failed: alarm_recipient.room'); END;

CREATE TRIGGER a_recipient_is_counted AFTER INSERT ON alarm_recipient
BEGIN
    INSERT INTO alarm_load (account, alarms) VALUES (new.account, 1)
    ON CONFLICT (account) DO UPDATE SET alarms = alarms + 1;
END;

CREATE TRIGGER an_alarm_without_recipients_is_deleted AFTER DELETE ON alarm_recipient
BEGIN
    UPDATE alarm_load SET alarms = alarms - 1 WHERE account = old.account;
    DELETE FROM alarm WHERE key = old.alarm
    AND NOT EXISTS (SELECT 1 FROM alarm_recipient WHERE alarm = old.alarm);
END;

-- `key` ascends in the order in which deliveries were written. `message` and `leased` are the
-- lease: the id of the message's first delivery, and the end of the lease.
CREATE TABLE delivery (
    key        INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    alarm      INTEGER NOT NULL REFERENCES alarm (key) ON DELETE CASCADE,
    account    INTEGER NOT NULL REFERENCES account (key) ON DELETE CASCADE,
    channel    TEXT    NOT NULL,
    about      TEXT    NOT NULL,
    severity   INTEGER NOT NULL,
    due        INTEGER NOT NULL,
    since      INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('waiting', 'sent', 'dead', 'cancelled')),
    last_error TEXT,
    folded     INTEGER NOT NULL,
    attempted  INTEGER,
    message    BLOB,
    leased     INTEGER,
    revision   INTEGER NOT NULL,
    UNIQUE (alarm, account, channel, about)
) STRICT;

CREATE INDEX delivery_queue ON delivery (account, channel, severity, key) WHERE state = 'waiting';
CREATE INDEX delivery_due ON delivery (due) WHERE state = 'waiting';
CREATE INDEX delivery_attempted ON delivery (account, attempted);
CREATE INDEX delivery_message ON delivery (message) WHERE message IS NOT NULL;
CREATE INDEX delivery_state ON delivery (state, id);

-- The preferences of people, as one document each.
CREATE TABLE alarm_preferences (
    account  INTEGER PRIMARY KEY REFERENCES account (key) ON DELETE CASCADE,
    revision INTEGER NOT NULL,
    document TEXT    NOT NULL
) STRICT;

CREATE INDEX admin_by_name ON account (name) WHERE role = 'admin';
