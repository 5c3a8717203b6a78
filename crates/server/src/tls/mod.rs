//! The site's end of TLS, and where the certificate of the HTTP listener comes from.

pub(crate) mod acceptors;
pub(crate) mod certificate_source;
