//! What a site does with its peers: commands that the harnesses of these tests share.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use serde_json::{Value, json};

use crate::running::Running;

impl Running {
    /// A peer address of this machine that no other test uses.
    pub(crate) fn peer_address(port: u16) -> String {
        let [_, a, b, c] = std::process::id().to_be_bytes();
        format!("127.{}.{b}.{c}:{port}", 200 | a & 0x3f)
    }

    /// A new ticket of this person for a peer, as a URI.
    pub(crate) fn peer_ticket(&self, person: &str) -> String {
        let issued = self.succeeds(&["peer", "ticket", person]);
        issued["uri"].as_str().unwrap().to_owned()
    }

    /// A command that joins the site of a ticket, for this person.
    pub(crate) fn join(&self, ticket: &str, person: &str) -> Command {
        self.write("ticket", ticket);
        self.command(&["peer", "join", "--ticket-file", "ticket", "--for", person])
    }

    /// Sends messages, one after the other over one connection to the admin socket. Only tests send as
    /// fast as this.
    pub(crate) fn send_messages(
        &self,
        from: &str,
        to: &str,
        texts: impl IntoIterator<Item = String>,
    ) {
        let socket = UnixStream::connect(self.path("site/admin.sock")).unwrap();
        let mut reader = BufReader::new(socket);
        for text in texts {
            let params = json!({ "from": from, "to": to, "text": text });
            let operation =
                json!({ "id": 1, "group": "peer", "command": "send", "params": params });
            let line = format!("{operation}\n");
            reader.get_mut().write_all(line.as_bytes()).unwrap();
            let mut answer = String::new();
            reader.read_line(&mut answer).unwrap();
            let answer: Value = serde_json::from_str(&answer).unwrap();
            assert_eq!(answer["code"], 0, "{answer}");
        }
    }

    /// The messages that a person received.
    pub(crate) fn inbox(&self, person: &str) -> Vec<Value> {
        let inbox = self.succeeds(&["peer", "inbox", person]);
        inbox["entries"].as_array().unwrap().clone()
    }
}
