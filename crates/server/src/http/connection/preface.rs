//! How a plain connection begins: with a request of HTTP/1.1, or with the preface of HTTP/2
//! (RFC 9113, section 3.3, prior knowledge).

use std::io::{self, Cursor};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Chain, Join};

/// The beginning of the preface. No method of HTTP/1.1 begins with it, so that it decides.
const PREFACE: &[u8] = b"PRI * HTTP/2";

/// Reads from the halves of a connection until the protocol is certain. Returns the connection, of
/// which the bytes that were read are read again, and whether it is HTTP/2. Set a time limit.
pub(super) async fn read<R, W>(
    (mut reader, writer): (R, W),
) -> io::Result<(Join<Chain<Cursor<Vec<u8>>, R>, W>, bool)>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite,
{
    let mut first = Vec::new();
    while first.len() < PREFACE.len() && PREFACE.starts_with(&first) {
        let mut limited = (&mut reader).take((PREFACE.len() - first.len()) as u64);
        if limited.read_buf(&mut first).await? == 0 {
            break;
        }
    }
    let is_http2 = first == PREFACE;
    let reader = Cursor::new(first).chain(reader);
    Ok((tokio::io::join(reader, writer), is_http2))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn read_again(parts: &[&[u8]]) -> (Vec<u8>, bool) {
        let (near, mut far) = tokio::io::duplex(1);
        let sending = async {
            for part in parts {
                far.write_all(part).await.unwrap();
            }
            drop(far);
        };
        let reading = async {
            let (mut stream, is_http2) = read(tokio::io::split(near)).await.unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            (all, is_http2)
        };
        let ((), read) = tokio::join!(sending, reading);
        read
    }

    #[tokio::test]
    async fn the_preface_tells_the_protocol_and_no_byte_is_lost() {
        for (bytes, is_http2) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrest"[..], true),
            (b"POST /authenticate HTTP/1.1\r\n", false),
            (b"PRI * HTTP/1.1\r\n", false),
            (b"PR", false),
            (b"", false),
        ] {
            let (read, found) = read_again(&[bytes]).await;
            assert_eq!((read.as_slice(), found), (bytes, is_http2));
        }
    }
}
