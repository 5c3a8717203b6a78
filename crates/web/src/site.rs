//! [`Site`]: logs in to a site, or resumes a session.

use countersign_client::{Connector, LoginAs};
use countersign_crypto::secret::Secret;
use countersign_proto::enrolment::EnrolmentTicket;
use countersign_proto::name::AccountName;
use countersign_proto::session::client::Resumption;
use countersign_proto::uri::SiteUri;
use js_sys::{Function, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::failure::{self, usage, usage_of};
use crate::passphrase_input;
use crate::session::Session;

/// A site, identified by the key in its URI.
#[wasm_bindgen]
pub struct Site {
    connector: Connector,
}

#[wasm_bindgen]
impl Site {
    /// `url` is that of the site's WebSocket, `wss://HOST/session`. `uri` is the site's URI, which pins
    /// its key; its host and port are not used. `open` makes a `WebSocket` from a URL and a subprotocol.
    ///
    /// # Errors
    /// A failure of kind `usage` if the URI is malformed.
    #[wasm_bindgen(constructor)]
    pub fn new(
        url: String,
        uri: &str,
        #[wasm_bindgen(unchecked_param_type = "(url: string, protocol: string) => WebSocket")]
        open: Function,
    ) -> Result<Self, JsValue> {
        let uri: SiteUri = uri.parse().map_err(|error| usage(&error))?;
        Ok(Self {
            connector: Connector::over_web_socket(url, open, &uri),
        })
    }

    /// What is known of the site, as text: after a connection, its id and its newest key event. Store
    /// it, and pass it to `expect` next time, so that an older key that a thief has is not accepted.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn known(&self) -> Option<String> {
        serde_json::to_string(&self.connector.known_site()?).ok()
    }

    /// Expects the site of which this is known.
    ///
    /// # Errors
    /// A failure of kind `usage` if the text is not one of `known`.
    pub fn expect(&self, known: &str) -> Result<(), JsValue> {
        let known = serde_json::from_str(known).map_err(|error| usage(&error))?;
        // Clones share what is known.
        let _ = self.connector.clone().expect(known);
        Ok(())
    }

    /// Logs in as a person. The pass phrase is not sent. Bytes are overwritten once they are read; a
    /// string cannot be.
    ///
    /// # Errors
    /// A failure of kind `login`, `connection` or `usage`.
    pub async fn login(
        &self,
        name: String,
        #[wasm_bindgen(unchecked_param_type = "string | Uint8Array")] passphrase: JsValue,
    ) -> Result<Session, JsValue> {
        let name = name.parse::<AccountName>();
        let name = name.map_err(|error| usage_of("name", &error))?;
        let passphrase = passphrase_input::take(&passphrase)?;
        let client = self
            .connector
            .connect(LoginAs::person(name, passphrase))
            .await;
        client
            .map(Session::over)
            .map_err(|error| failure::of_connecting(&error))
    }

    /// Sets the pass phrase of the person `name` with a ticket, which is a URI; with the ticket of
    /// the first admin, creates the admin with this name. The pass phrase is not sent. Bytes are
    /// overwritten once they are read; a string cannot be.
    ///
    /// # Errors
    /// A failure of kind `ticket` or `login` if the site does not accept it; else of kind
    /// `connection` or `usage`. After the code `broken` it is unknown whether the pass phrase was
    /// set: log in with it to find out.
    #[wasm_bindgen(js_name = registerPassphrase)]
    pub async fn register_passphrase(
        &self,
        ticket: String,
        name: String,
        #[wasm_bindgen(unchecked_param_type = "string | Uint8Array")] passphrase: JsValue,
    ) -> Result<(), JsValue> {
        let passphrase = passphrase_input::take(&passphrase)?;
        let ticket = ticket.parse::<EnrolmentTicket>();
        let ticket = ticket.map_err(|error| usage_of("ticket", &error))?;
        let name = name.parse::<AccountName>();
        let name = name.map_err(|error| usage_of("name", &error))?;
        let set = self
            .connector
            .set_passphrase_with_ticket(&ticket, &name, &passphrase)
            .await;
        set.map(drop).map_err(|error| failure::of_ticket(&error))
    }

    /// Resumes the session of which `Session.resumption` returned this. The bytes are overwritten.
    ///
    /// # Errors
    /// A failure of kind `login` if the session has ended; else of kind `connection` or `usage`.
    pub async fn resume(&self, resumption: Uint8Array) -> Result<Session, JsValue> {
        let stored = passphrase_input::wiped(&resumption);
        let stored = Secret::try_from_slice(&stored);
        let stored = stored.ok_or_else(|| usage(&"these bytes resume no session"))?;
        let resumption = Resumption::from_secret(&stored);
        let client = self.connector.resume_session(resumption).await;
        client
            .map(Session::over)
            .map_err(|error| failure::of_connecting(&error))
    }
}
