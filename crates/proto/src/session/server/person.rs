//! A person's login: the response to LOGIN-START, and the client's proof.

use countersign_crypto::entropy::Entropy;
use countersign_crypto::passphrase::{Identifiers, ServerLogin};
use countersign_crypto::sealed_identity;

use crate::name::AccountName;
use crate::risp::Value;
use crate::session::command as c;
use crate::session::flight::put_as_server;
use crate::session::keys::{Established, login_context};
use crate::session::option::EncryptionOption;
use crate::session::proof::PassphraseProof;
use crate::session::refusal::SessionRefusal;
use crate::session::transcript::Transcript;

use super::attempt::Awaiting;
use super::authenticated::{Authenticated, AuthenticatedBy};
use super::{AccountTag, PersonCredential, ServerLoginAttempt};

/// A login that needs a person's credential.
pub struct FindPerson {
    pub(super) login: ServerLoginAttempt,
    pub(super) name: AccountName,
    pub(super) option: EncryptionOption,
    pub(super) start: Vec<u8>,
    pub(super) context: [u8; 32],
}

impl FindPerson {
    /// The person's name with its zone.
    #[must_use]
    pub fn name(&self) -> &AccountName {
        &self.name
    }

    /// Responds with KEY-EVENTS if requested, CERTIFICATE, SESSION-KEY, MAX-PACKET and SITE-PROOF.
    /// Without a credential (there is no such person, or it may not log in) the response is a decoy
    /// of the same form, and no proof verifies.
    ///
    /// # Errors
    /// [`SessionRefusal::BadLogin`] if the client's first message is not an OPAQUE message.
    /// [`SessionRefusal::TooManyUnauthenticated`] if the client already received too many bytes.
    pub fn answer(
        self,
        credential: Option<&PersonCredential>,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<ServerLoginAttempt, SessionRefusal> {
        let Self {
            mut login,
            name,
            option,
            start,
            context,
        } = self;
        let settings = login.settings.clone();
        let max_packet = login.agreed_max_packet(None);
        let whole_name = name.to_string();
        // The decoy is computed for known names too, so that both take the same time.
        let decoy = sealed_identity::decoy(&settings.decoy, whole_name.as_bytes());
        let (account, setup, credential_id, record, certificate) = match credential {
            Some(known) => (
                Some(known.account),
                &known.setup,
                &known.credential_id[..],
                Some(&known.record),
                &known.sealed_identity,
            ),
            None => (None, &settings.setup, whole_name.as_bytes(), None, &decoy),
        };
        let (server_login, session_key) = ServerLogin::start(
            option.login_suite(),
            setup,
            record,
            credential_id,
            &start,
            &login_context(&context, max_packet),
            Identifiers {
                client: None,
                server: Some(&settings.key_events.id().0),
            },
            entropy,
        )
        .map_err(|_| {
            SessionRefusal::BadLogin("LOGIN-START is no OPAQUE message of the chosen option")
        })?;

        login.answer_key_events(out)?;
        let start = out.len();
        let transcript = &mut login.transcript;
        put_as_server(transcript, out, c::CERTIFICATE, Value::Bytes(certificate))?;
        put_as_server(transcript, out, c::SESSION_KEY, Value::Bytes(&session_key))?;
        put_as_server(transcript, out, c::MAX_PACKET, Value::U32(max_packet))?;
        let proof = settings
            .key
            .signing()
            .sign(&transcript.digest("site proof"));
        put_as_server(transcript, out, c::SITE_PROOF, Value::Bytes(&proof.0))?;
        login.count_answer(start, out)?;
        Ok(login.awaiting(Awaiting::Proof(Box::new(AwaitingProof {
            server_login,
            account,
            option,
            max_packet,
        }))))
    }
}

/// The response was sent; the client's proof is pending.
pub(super) struct AwaitingProof {
    server_login: ServerLogin,
    account: Option<AccountTag>,
    option: EncryptionOption,
    max_packet: u32,
}

impl AwaitingProof {
    /// Lowers the packet limit to what the client accepts.
    pub(super) fn lower_max_packet(&mut self, bytes: u32) {
        self.max_packet = self.max_packet.min(bytes);
    }

    /// Verifies SESSION-PROOF; `transcript` includes it.
    pub(super) fn verify(
        self,
        proof: &[u8],
        transcript: &Transcript,
    ) -> Result<Authenticated, SessionRefusal> {
        let secret = self
            .server_login
            .finish(proof)
            .map_err(|_| SessionRefusal::NotAuthenticated)?;
        let account = self.account.ok_or(SessionRefusal::NotAuthenticated)?;
        let established = Established::new(
            self.option,
            secret.expose(),
            &transcript.digest("packets"),
            self.max_packet,
        );
        let how = AuthenticatedBy::Passphrase(PassphraseProof::by_ke3(&secret));
        Ok(Authenticated::new(account, how, established))
    }
}
