//! What an application links: log in, call operations, subscribe to events.
