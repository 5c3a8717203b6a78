//! The server's first packet: a welcome or a refusal.

use crate::risp::{Reader, Value};
use crate::session::command as c;
use crate::session::limits::InsidePacket;
use crate::session::live::{SessionId, Welcome};
use crate::session::refusal::{SessionRefusal, WireError};

use super::Link;

/// The server's first packet.
pub(crate) enum FirstPacket {
    Welcome(Welcome),
    Refusal(WireError),
}

impl Link {
    /// Queues the first packet. It fits into the smallest MAX-PACKET, since names are short.
    pub(crate) fn send_welcome(&mut self, welcome: &Welcome) -> Result<(), SessionRefusal> {
        self.writer
            .put(c::SESSION_ID, Value::Bytes(&welcome.session.0))?;
        self.writer.put(c::EXPIRES, Value::U64(welcome.expires))?;
        self.writer
            .put(c::IDLE_LIMIT, Value::U32(welcome.idle_limit))?;
        self.writer
            .put(c::USERNAME, Value::Bytes(welcome.account.as_bytes()))?;
        self.writer.close()
    }

    /// Queues a refusal as the first and last packet.
    pub(crate) fn send_refusal(&mut self, error: WireError) -> Result<(), SessionRefusal> {
        self.writer.put(c::ERROR, Value::U8(error as u8))
    }

    /// Reads the server's first packet. Returns its contents and how many bytes it used.
    pub(crate) fn receive_welcome(
        &mut self,
        input: &mut [u8],
    ) -> Result<Option<(FirstPacket, usize)>, SessionRefusal> {
        const INCOMPLETE: SessionRefusal = SessionRefusal::BadMessage("an incomplete welcome");
        let Some((plaintext, used)) = self.reader.open(input)? else {
            return Ok(None);
        };
        let (mut session, mut account, mut expires) = (None, None, None);
        let mut idle_limit = 0;
        for step in Reader::new(plaintext, &InsidePacket) {
            match step? {
                (c::ERROR, Value::U8(code)) => {
                    let error = WireError::from_wire(code).ok_or(INCOMPLETE)?;
                    return Ok(Some((FirstPacket::Refusal(error), used)));
                }
                (c::SESSION_ID, Value::Bytes(id)) => session = id.try_into().ok().map(SessionId),
                (c::EXPIRES, Value::U64(at)) => expires = Some(at),
                (c::IDLE_LIMIT, Value::U32(limit)) => idle_limit = limit,
                (c::USERNAME, Value::Bytes(name)) => account = String::from_utf8(name.into()).ok(),
                _ => {}
            }
        }
        let welcome = Welcome {
            session: session.ok_or(INCOMPLETE)?,
            account: account.ok_or(INCOMPLETE)?,
            expires: expires.ok_or(INCOMPLETE)?,
            idle_limit,
        };
        Ok(Some((FirstPacket::Welcome(welcome), used)))
    }
}
