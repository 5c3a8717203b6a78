//! How other protocols begin: what a browser sends first, for a page that names a port of the site.
//! It must not count against the source, since any page could bring penalties upon the address of its
//! reader.

/// The longest beginning of a request.
pub(crate) const LONGEST: usize = 8;

/// The methods that browsers send.
const METHODS: [&[u8]; 8] = [
    b"GET ",
    b"POST ",
    b"PUT ",
    b"HEAD ",
    b"PATCH ",
    b"DELETE ",
    b"OPTIONS ",
    b"CONNECT ",
];

/// Whether these bytes begin a request of HTTP.
pub(crate) fn is_http(bytes: &[u8]) -> bool {
    METHODS.into_iter().any(|method| bytes.starts_with(method))
}

/// Whether these bytes begin the record of a TLS handshake.
pub(crate) fn is_tls(bytes: &[u8]) -> bool {
    bytes.starts_with(&[22, 3])
}
