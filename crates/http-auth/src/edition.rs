//! What both ends have to know of an edition of the broker's dialog.

/// An edition of the broker's dialog: [`V2`](crate::V2) or [`V1`](crate::v1::V1).
///
/// Everything that this crate does around the dialog is written once, for any edition: builders, layers, the credential
/// cache, ticket stores, limits. Nothing outside of this crate can implement it.
pub trait Edition: Sized + Send + Sync + 'static {
    /// An application with its own keys.
    type Application;
    /// The site that both applications trust.
    type Site;
    /// Where a provider takes tickets by default.
    const TICKET_PATH: &'static str;
    /// The longest message of the dialog, in bytes.
    const MAX_MESSAGE: usize;
}
