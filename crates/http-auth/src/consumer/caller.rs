//! A consumer of either edition, as a layer or middleware sees it.

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, header};

use super::ConsumerError;
use super::carrier::Carrier;
use crate::origin::{Origin, normalized, with_path};

/// What is signed of the application's request.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) address: Uri,
    pub(crate) content: Bytes,
    /// The field `host`, where the application writes one of its own, as it is signed.
    host: Option<String>,
}

impl Call {
    /// # Errors
    /// [`ConsumerError::CannotSign`] for a field `host` that is none, or several.
    pub(crate) fn new(
        method: Method,
        address: Uri,
        fields: &HeaderMap,
        content: Bytes,
    ) -> Result<Self, ConsumerError> {
        let cannot = ConsumerError::CannotSign;
        let address = with_path(address);
        let origin = Origin::of(&address).map_err(|_| cannot.clone())?;
        let mut hosts = fields.get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (None, _) => None,
            (Some(host), None) => {
                let host = host.to_str().ok().and_then(|host| host.parse().ok());
                let host = host.and_then(|host| normalized(&host, origin.usual_port()));
                Some(host.ok_or(cannot)?)
            }
            _ => return Err(cannot),
        };
        Ok(Self {
            method,
            address,
            content,
            host,
        })
    }

    /// The authority that the provider sees.
    pub(crate) fn authority<'a>(&'a self, origin: &'a Origin) -> &'a str {
        self.host.as_deref().unwrap_or(origin.authority())
    }
}

/// Signs requests of the application.
pub(crate) trait Caller: Clone + Send + Sync + 'static {
    /// The longest content that it signs, in bytes.
    fn longest_content(&self) -> usize;

    /// Signs and sends what the carrier carries.
    fn call<C: Carrier>(
        &self,
        call: &Call,
        carrier: C,
    ) -> impl Future<Output = Result<C::Response, C::Error>> + Send;
}
