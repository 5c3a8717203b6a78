//! A consumer of either edition, as a layer or middleware sees it.

use bytes::Bytes;
use http::{Method, Uri};

use super::carrier::Carrier;

/// What is signed of the application's request.
pub(in crate::broker) struct Call {
    pub(in crate::broker) method: Method,
    pub(in crate::broker) address: Uri,
    pub(in crate::broker) content: Bytes,
}

/// Signs requests of the application.
pub(in crate::broker) trait Caller: Clone + Send + Sync + 'static {
    /// The longest content that it signs, in bytes.
    fn longest_content(&self) -> usize;

    /// Signs and sends what the carrier carries.
    fn call<C: Carrier>(
        &self,
        call: &Call,
        carrier: C,
    ) -> impl Future<Output = Result<C::Response, C::Error>> + Send;
}
