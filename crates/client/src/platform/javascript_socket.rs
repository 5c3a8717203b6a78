//! A `WebSocket` of the JavaScript engine as a byte stream: binary messages carry the session's bytes,
//! and their borders mean nothing.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use countersign_proto::session::MAX_SESSION_MESSAGE;
use js_sys::{ArrayBuffer, Function, Uint8Array};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasm_bindgen::prelude::*;
use web_sys::{BinaryType, MessageEvent, WebSocket};

use super::javascript::{Sleep, sleep};

/// The most bytes that may have arrived unread. An engine cannot stop the sender, and the session's
/// flow control lets an honest site send less.
const MAX_UNREAD: usize = 64 * 1024 * 1024;
/// The most bytes that the engine buffers before the socket accepts no more.
const MAX_BUFFERED: u32 = 256 * 1024;
/// How often a full buffer is looked at; engines have no event for it.
const BUFFER_CHECK: Duration = Duration::from_millis(10);

/// A WebSocket that is open.
pub(crate) struct JavascriptSocket {
    socket: WebSocket,
    state: Rc<RefCell<State>>,
    /// Waits for room in the engine's buffer.
    waiting: Option<Sleep>,
    /// The engine calls these while the socket is open.
    _handlers: Handlers,
}

#[derive(Default)]
struct State {
    is_open: bool,
    is_closed: bool,
    arrived: VecDeque<u8>,
    waker: Option<Waker>,
}

struct Handlers {
    _message: Closure<dyn FnMut(MessageEvent)>,
    _open: Closure<dyn FnMut()>,
    _close: Closure<dyn FnMut()>,
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn close(&mut self) {
        self.is_closed = true;
        self.wake();
    }
}

impl JavascriptSocket {
    /// Calls `open` with the URL and the subprotocol, and waits until the connection is open.
    pub(super) async fn open(open: &Function, url: &str, protocol: &str) -> io::Result<Self> {
        let made = open.call2(
            &JsValue::NULL,
            &JsValue::from_str(url),
            &JsValue::from_str(protocol),
        );
        let socket: WebSocket = made.map_err(|error| failed(&error))?.unchecked_into();
        socket.set_binary_type(BinaryType::Arraybuffer);
        let state = Rc::new(RefCell::new(State::default()));
        let this = Self {
            _handlers: Handlers::on(&socket, &state),
            socket,
            state,
            waiting: None,
        };
        poll_fn(|context| this.poll_open(context)).await?;
        Ok(this)
    }

    fn poll_open(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        if state.is_open {
            return Poll::Ready(Ok(()));
        }
        if state.is_closed {
            // An engine tells a page nothing about the cause.
            let problem = "the WebSocket was not opened";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::NotConnected, problem)));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Handlers {
    fn on(socket: &WebSocket, state: &Rc<RefCell<State>>) -> Self {
        let arrived = Rc::clone(state);
        let message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let mut state = arrived.borrow_mut();
            match event.data().dyn_into::<ArrayBuffer>() {
                Ok(buffer) => {
                    let bytes = Uint8Array::new(&buffer).to_vec();
                    if state.arrived.len() + bytes.len() > MAX_UNREAD {
                        return state.close();
                    }
                    state.arrived.extend(bytes);
                    state.wake();
                }
                // Text carries no session.
                Err(_) => state.close(),
            }
        });
        let opened = Rc::clone(state);
        let open = Closure::<dyn FnMut()>::new(move || {
            let mut state = opened.borrow_mut();
            state.is_open = true;
            state.wake();
        });
        let closed = Rc::clone(state);
        let close = Closure::<dyn FnMut()>::new(move || closed.borrow_mut().close());
        socket.set_onmessage(Some(message.as_ref().unchecked_ref()));
        socket.set_onopen(Some(open.as_ref().unchecked_ref()));
        socket.set_onclose(Some(close.as_ref().unchecked_ref()));
        socket.set_onerror(Some(close.as_ref().unchecked_ref()));
        Self {
            _message: message,
            _open: open,
            _close: close,
        }
    }
}

fn failed(error: &JsValue) -> io::Error {
    let text = error.dyn_ref::<js_sys::Error>().map_or_else(
        || "the WebSocket failed".to_owned(),
        |error| String::from(error.message()),
    );
    io::Error::other(text)
}

impl AsyncRead for JavascriptSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        if state.arrived.is_empty() && !state.is_closed {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        while buffer.remaining() > 0 && !state.arrived.is_empty() {
            let (first, _) = state.arrived.as_slices();
            let (taken, _) = first.split_at(first.len().min(buffer.remaining()));
            buffer.put_slice(taken);
            let length = taken.len();
            state.arrived.drain(..length);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for JavascriptSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(context));
        if self.state.borrow().is_closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let (message, _) = bytes.split_at(bytes.len().min(MAX_SESSION_MESSAGE));
        // A copy: an engine may send a view of this memory after the memory has grown.
        let sent = self
            .socket
            .send_with_js_u8_array(&Uint8Array::from(message));
        Poll::Ready(match sent {
            Ok(()) => Ok(message.len()),
            Err(error) => Err(failed(&error)),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The engine sends what it has buffered first.
        let _ = self.socket.close();
        Poll::Ready(Ok(()))
    }
}

impl JavascriptSocket {
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                ready!(Pin::new(waiting).as_mut().poll(context));
                self.waiting = None;
            }
            if self.socket.buffered_amount() <= MAX_BUFFERED || self.state.borrow().is_closed {
                return Poll::Ready(());
            }
            self.waiting = Some(sleep(BUFFER_CHECK));
        }
    }
}

impl Drop for JavascriptSocket {
    fn drop(&mut self) {
        self.socket.set_onmessage(None);
        self.socket.set_onopen(None);
        self.socket.set_onclose(None);
        self.socket.set_onerror(None);
        let _ = self.socket.close();
    }
}
