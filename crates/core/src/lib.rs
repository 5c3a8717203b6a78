//! The site's decisions: accounts, credentials, sessions, policy, audit, and the table of operations.
