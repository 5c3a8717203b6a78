//! The content of operations and results.

use std::io;

use countersign_client::{Download, Upload};
use futures_util::stream;
use js_sys::{Function, Promise, Uint8Array};
use tokio::sync::{Mutex, mpsc};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::failure;

/// Pieces that wait to be sent.
const MAX_PIECES: usize = 1;

/// A result and its content.
#[wasm_bindgen]
pub struct Reply {
    data: JsValue,
    content: Option<Content>,
}

impl Reply {
    pub(crate) fn new(data: JsValue, download: Option<Download>) -> Self {
        Self {
            data,
            content: download.map(|download| Content(Mutex::new(download))),
        }
    }
}

#[wasm_bindgen]
impl Reply {
    /// The result.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn data(&self) -> JsValue {
        self.data.clone()
    }

    /// The content, on the first call.
    #[wasm_bindgen(js_name = takeContent)]
    pub fn take_content(&mut self) -> Option<Content> {
        self.content.take()
    }
}

/// The content of a result. The site stops sending when it is not read. `free` cancels the rest.
#[wasm_bindgen]
pub struct Content(Mutex<Download>);

#[wasm_bindgen]
impl Content {
    /// The next piece; `undefined` when the content is complete and its digest verified.
    ///
    /// # Errors
    /// A failure with the code `incomplete_content`, or of kind `session`. Pieces before it must not be
    /// used as the complete content.
    pub async fn next(&self) -> Result<Option<Uint8Array>, JsValue> {
        match self.0.lock().await.next().await {
            Some(Ok(piece)) => Ok(Some(Uint8Array::from(piece.as_slice()))),
            Some(Err(error)) => Err(failure::of_call(&error)),
            None => Ok(None),
        }
    }
}

/// The content that a function returns piece by piece.
pub(crate) fn upload(next: Function) -> Upload {
    let (sender, receiver) = mpsc::channel::<io::Result<Vec<u8>>>(MAX_PIECES);
    wasm_bindgen_futures::spawn_local(async move {
        // The function is not called before there is room.
        while let Ok(room) = sender.reserve().await {
            match piece(&next).await {
                Ok(Some(piece)) if piece.is_empty() => {}
                Ok(Some(piece)) => room.send(Ok(piece)),
                Ok(None) => return,
                Err(_) => {
                    room.send(Err(io::Error::other("the content could not be read")));
                    return;
                }
            }
        }
    });
    Upload::from_pieces(stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    }))
}

async fn piece(next: &Function) -> Result<Option<Vec<u8>>, JsValue> {
    let promise = Promise::resolve(&next.call0(&JsValue::UNDEFINED)?);
    let value = JsFuture::from(promise).await?;
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    let bytes = value.dyn_into::<Uint8Array>()?;
    Ok(Some(bytes.to_vec()))
}
