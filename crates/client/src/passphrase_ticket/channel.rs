//! Opening a sealed channel to the site of a ticket.

use std::future::Future;
use std::io;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::sign::VerifyingKey;
use countersign_net::sealed_stream::SealedStream;
use countersign_proto::session::LoginError;
use countersign_proto::site_identity::{
    KeyEventWalk, KeyEventsRequest, KnownSite, MAX_KEY_EVENTS_LINE, WalkStep,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::ConnectError;

/// What reaches a site.
pub(super) struct Carrier<'a, D> {
    /// Opens a connection.
    pub(super) dial: D,
    /// The address, for messages.
    pub(super) address: &'a str,
}

impl<D, S, F> Carrier<'_, D>
where
    D: Fn() -> F,
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = io::Result<S>>,
{
    /// Opens a channel to the site that has or had this key, and learns its key events: one page
    /// for each connection. The server proves the key of the newest event.
    pub(super) async fn open_known(
        &self,
        pin: VerifyingKey,
        known: Option<KnownSite>,
    ) -> Result<(SealedStream<S>, KnownSite), ConnectError> {
        let mut walk = KeyEventWalk::first_contact(pin);
        loop {
            let (mut stream, proved) = self.open().await?;
            match self.page(&mut stream, walk).await? {
                WalkStep::More(more) => walk = more,
                WalkStep::Done(site) if is_expected(&site, proved, known) => {
                    return Ok((stream, site));
                }
                WalkStep::Done(_) => return Err(LoginError::WrongSite.into()),
            }
        }
    }

    async fn open(&self) -> Result<(SealedStream<S>, VerifyingKey), ConnectError> {
        let stream = (self.dial)().await;
        let stream = stream.map_err(|cause| ConnectError::Unreachable {
            address: self.address.to_owned(),
            cause,
        })?;
        let opened = SealedStream::connect(stream, &mut SystemEntropy).await;
        opened.map_err(|error| self.failed(&error))
    }

    /// Requests a page of key events, and verifies it.
    async fn page(
        &self,
        stream: &mut SealedStream<S>,
        walk: KeyEventWalk,
    ) -> Result<WalkStep, ConnectError> {
        let failed = |error: io::Error| self.failed(&error);
        let request = KeyEventsRequest(walk.wanted()).to_line();
        stream.write_all(&request).await.map_err(failed)?;
        stream.flush().await.map_err(failed)?;
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') && line.len() <= MAX_KEY_EVENTS_LINE {
            line.push(stream.read_u8().await.map_err(failed)?);
        }
        let page = KeyEventsRequest::read_answer(&line);
        let step = page.and_then(|page| walk.receive(&page));
        step.map_err(|error| LoginError::from(error).into())
    }

    fn failed(&self, error: &io::Error) -> ConnectError {
        match error.kind() {
            // A key that is not proved, or a record that was changed.
            io::ErrorKind::InvalidData => LoginError::WrongSite.into(),
            _ => ConnectError::Closed {
                address: self.address.to_owned(),
            },
        }
    }
}

impl<D> Carrier<'_, D> {
    pub(super) fn timeout(&self) -> ConnectError {
        ConnectError::Timeout {
            address: self.address.to_owned(),
        }
    }
}

/// Whether the server proved the key of the newest event, and the site is the known one, of which
/// no older event is shown as the newest.
fn is_expected(site: &KnownSite, proved: VerifyingKey, known: Option<KnownSite>) -> bool {
    let number = |known: &KnownSite| known.newest().event().number;
    let is_same = |known: KnownSite| known.id() == site.id() && number(&known) <= number(site);
    site.keys().signing == proved && known.is_none_or(is_same)
}
