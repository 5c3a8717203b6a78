-- A search compares what this index has, in the order of names, and reads no account that it does not find.
CREATE INDEX person_search ON account (name, kind, full_name, email) WHERE kind <> 'service';
