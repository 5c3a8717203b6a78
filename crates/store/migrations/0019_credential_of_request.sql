-- The credential that sent a completed request, as SHA-256 of its name: one credential cannot use up the idempotency
-- keys of its account. Requests from before have none.
ALTER TABLE completed_request ADD COLUMN credential BLOB NOT NULL
    DEFAULT x'0000000000000000000000000000000000000000000000000000000000000000' CHECK (length(credential) = 32);
