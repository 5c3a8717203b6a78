//! [`Session`]: operations, events and content of a session.

use countersign_client::{CallError, Client};
use countersign_proto::operation::{Code, Outcome};
use data_encoding::HEXLOWER;
use js_sys::{Function, JSON, Uint8Array};
use serde_json::value::RawValue;
use wasm_bindgen::prelude::*;

use crate::content::{self, Reply};
use crate::failure::{self, usage};
use crate::passphrase_input;

/// An open session. Many calls may be under way at the same time. When the connection is lost, the
/// session is resumed over another one; calls that were under way then fail with the code `lost`.
#[wasm_bindgen]
pub struct Session {
    client: std::rc::Rc<Client>,
}

impl Session {
    pub(crate) fn over(client: Client) -> Self {
        Self {
            client: client.into(),
        }
    }
}

#[wasm_bindgen]
impl Session {
    /// The account's full name with its zone.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn account(&self) -> String {
        self.client.welcome().account
    }

    /// The session's id.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn id(&self) -> String {
        HEXLOWER.encode(&self.client.welcome().session.0)
    }

    /// Runs an operation, such as `person show`, with its parameters. Returns its result.
    ///
    /// # Errors
    /// A failure of kind `operation`, `session` or `usage`.
    pub async fn call(
        &self,
        operation: String,
        #[wasm_bindgen(unchecked_param_type = "object | undefined")] params: JsValue,
    ) -> Result<JsValue, JsValue> {
        let (group, command) = names(&operation)?;
        let outcome = self.client.outcome(group, command, json(&params)?).await;
        result(&outcome.map_err(|error| failure::of_call(&error))?)
    }

    /// Runs an operation that takes content, or whose result has content. `content` is a function that
    /// returns the next piece each time, and `undefined` at the end.
    ///
    /// # Errors
    /// As `call`.
    pub async fn stream(
        &self,
        operation: String,
        #[wasm_bindgen(unchecked_param_type = "object | undefined")] params: JsValue,
        #[wasm_bindgen(
            unchecked_param_type = "(() => Promise<Uint8Array | undefined>) | undefined"
        )]
        content: Option<Function>,
    ) -> Result<Reply, JsValue> {
        let (group, command) = names(&operation)?;
        let upload = content.map(content::upload);
        let streamed = self
            .client
            .stream(group, command, json(&params)?, upload)
            .await;
        let (outcome, download) = streamed.map_err(|error| failure::of_call(&error))?;
        Ok(Reply::new(result(&outcome)?, download))
    }

    /// Calls `listener` with each event from now on. A listener that is 256 events behind loses the
    /// oldest ones.
    #[wasm_bindgen(js_name = onEvent)]
    pub fn on_event(
        &self,
        #[wasm_bindgen(
            unchecked_param_type = "(event: { group: string, event: string, data: unknown }) => void"
        )]
        listener: Function,
    ) {
        let mut events = self.client.events();
        wasm_bindgen_futures::spawn_local(async move {
            while let Some(event) = events.next().await {
                let text = serde_json::to_string(&event).unwrap_or_default();
                let Ok(event) = JSON::parse(&text) else {
                    continue;
                };
                // An exception in a listener is the listener's own.
                let _ = listener.call1(&JsValue::UNDEFINED, &event);
            }
        });
    }

    /// What resumes this session after the page is loaded again, for `Site.resume`. It is as secret as
    /// the session: store it where it lives as long as the tab (`sessionStorage`), when the page is
    /// hidden.
    #[must_use]
    pub fn resumption(&self) -> Uint8Array {
        let stored = self.client.resumption().to_secret();
        Uint8Array::from(stored.expose().as_slice())
    }

    /// Proves the person's pass phrase again. The proof authorises one change of a credential within
    /// two minutes, such as `token create`. After failed proofs it waits as long as the site demands.
    ///
    /// # Errors
    /// A failure of kind `operation`, with the code `wrong_passphrase` if it is wrong, which counts as
    /// a failed login; of kind `session` or `usage`.
    #[wasm_bindgen(js_name = provePassphrase)]
    pub async fn prove_passphrase(
        &self,
        #[wasm_bindgen(unchecked_param_type = "string | Uint8Array")] passphrase: JsValue,
    ) -> Result<(), JsValue> {
        let passphrase = passphrase_input::take(&passphrase)?;
        let proved = self.client.prove_passphrase(&passphrase).await;
        proved.map_err(|error| failure::of_credential(&error))
    }

    /// Changes the person's pass phrase. Other sessions of the account end.
    ///
    /// # Errors
    /// A failure of kind `operation`, with the code `wrong_passphrase` if the present one is wrong; of
    /// kind `session` or `usage`.
    #[wasm_bindgen(js_name = changePassphrase)]
    pub async fn change_passphrase(
        &self,
        #[wasm_bindgen(unchecked_param_type = "string | Uint8Array")] present: JsValue,
        #[wasm_bindgen(unchecked_param_type = "string | Uint8Array")] new: JsValue,
    ) -> Result<(), JsValue> {
        let (present, new) = (
            passphrase_input::take(&present)?,
            passphrase_input::take(&new)?,
        );
        let changed = self.client.change_passphrase(&present, &new).await;
        changed
            .map(drop)
            .map_err(|error| failure::of_credential(&error))
    }

    /// Waits until the session has ended. Returns the reason, or `lost`.
    pub async fn ended(&self) -> String {
        self.client.closed().await;
        let reason = self.client.ended();
        reason.map_or("lost", |reason| reason.as_str()).to_owned()
    }

    /// Ends the session.
    ///
    /// # Errors
    /// A failure of kind `session` if it had ended already.
    pub async fn logout(&self) -> Result<(), JsValue> {
        let ended = self.client.end().await;
        ended.map_err(|error| failure::of_call(&error))
    }
}

/// Group and command of an operation.
fn names(operation: &str) -> Result<(&str, &str), JsValue> {
    let (group, command) = operation
        .split_once([' ', '.'])
        .ok_or_else(|| usage(&"an operation is a group and a command, as in `person show`"))?;
    Ok((group, command))
}

/// Parameters as JSON.
fn json(params: &JsValue) -> Result<Box<RawValue>, JsValue> {
    if params.is_undefined() || params.is_null() {
        return RawValue::from_string("{}".to_owned()).map_err(|error| usage(&error));
    }
    let text = JSON::stringify(params)?;
    RawValue::from_string(text.into()).map_err(|error| usage(&error))
}

fn result(outcome: &Outcome) -> Result<JsValue, JsValue> {
    if outcome.code == Code::SUCCESS {
        return JSON::parse(outcome.data.get());
    }
    Err(failure::of_call(&CallError::Failed {
        code: outcome.code,
        problem: serde_json::from_str(outcome.data.get()).ok(),
    }))
}
