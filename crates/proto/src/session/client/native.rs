//! What only native programs do.

use crate::session::refusal::LoginError;

/// Shows that this program is not WebAssembly. There the type has no value, so the compiler leaves
/// out the code that needs one: logins with keys, whose primitives each browser would load.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Copy)]
pub(super) struct Native;

/// A type without values.
#[cfg(target_arch = "wasm32")]
#[derive(Clone, Copy)]
pub(super) enum Native {}

impl Native {
    /// # Errors
    /// [`LoginError::Protocol`] in WebAssembly.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) const fn new() -> Result<Self, LoginError> {
        Ok(Self)
    }

    /// # Errors
    /// [`LoginError::Protocol`] in WebAssembly.
    #[cfg(target_arch = "wasm32")]
    pub(super) const fn new() -> Result<Self, LoginError> {
        Err(LoginError::Protocol(
            "WebAssembly logs in with a pass phrase and OPAQUE only",
        ))
    }
}
