//! Makes decisions durable and atomic.
