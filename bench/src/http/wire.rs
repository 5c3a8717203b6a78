//! A minimal HTTP client with persistent connections, so that the measurement is of the server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::Result;

/// One connection.
pub(crate) struct Wire {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    pub(crate) fn connect(to: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(to)?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            read: Vec::new(),
        })
    }

    /// Sends a request, reads the response, which has to have the status 200, and returns its
    /// content.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>> {
        self.socket.write_all(request)?;
        self.read.clear();
        let mut piece = [0; 16 * 1024];
        loop {
            let bytes = self.socket.read(&mut piece)?;
            if bytes == 0 {
                return Err("the server closed".into());
            }
            self.read
                .extend_from_slice(piece.get(..bytes).unwrap_or_default());
            let Some(content) = content(&self.read)? else {
                continue;
            };
            return Ok(content.to_vec());
        }
    }
}

/// The content of a response, once it has arrived completely.
fn content(answer: &[u8]) -> Result<Option<&[u8]>> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, rest) = answer.split_at(end + 4);
    let head = std::str::from_utf8(head)?.to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        return Err(head.into());
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.ok_or("content of a known length")?.trim().parse()?;
    Ok((rest.len() >= length).then_some(rest))
}

/// A request with a body.
pub(crate) fn post(target: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {target} HTTP/1.1\r\nhost: site.example\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}
