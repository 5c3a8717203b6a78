-- The audit log says by which channel an operation came.
ALTER TABLE audit RENAME COLUMN door TO channel;
