-- How many attempts the channel answered with a refusal of this message.
ALTER TABLE delivery ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;
