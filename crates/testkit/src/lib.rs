//! Makes tests short: parties in one process with virtual time, vectors and hostile files.
