//! What consumer and provider both need from an edition of the broker's dialog.

/// An edition of the broker's dialog: [`V2`](crate::V2) or [`V1`](crate::v1::V1).
///
/// Everything around the dialog is written once for any edition: builders, layers, the credential
/// cache, ticket stores, limits. The trait is sealed: only this crate implements it.
pub trait Edition: Sized + Send + Sync + 'static {
    /// An application with its private keys.
    type Application: ApplicationKeys<Edition = Self>;
    /// The site that consumer and provider trust.
    type Site;
    /// Default path at which a provider accepts tickets.
    const TICKET_PATH: &'static str;
    /// Maximum length of a message of the dialog, in bytes.
    const MAX_MESSAGE: usize;
}

/// The keys of an application. Their type determines the edition of the consumer or provider that
/// is built with them.
pub trait ApplicationKeys {
    /// The edition that uses these keys.
    type Edition: Edition<Application = Self>;
}
