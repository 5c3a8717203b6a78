//! A person's login: the first flight, and the proof once the site has proved itself.

use countersign_crypto::entropy::Entropy;
use countersign_crypto::passphrase::{ClientLogin, Identifiers};
use countersign_crypto::sealed_identity;
use countersign_crypto::secret::Passphrase;
use countersign_crypto::sign::Signature;

use crate::name::AccountName;
use crate::risp::Value;
use crate::session::command as c;
use crate::session::delivered::from_wire;
use crate::session::flight::client_says;
use crate::session::keys::{Established, login_context};
use crate::session::link::Link;
use crate::session::option::EncryptionOption;
use crate::session::proof::SiteProved;
use crate::session::refusal::LoginError;
use crate::session::transcript::Transcript;

use super::Settings;
use super::delivered;
use super::login::Login;
use super::resume::Resumption;

/// What a person's login keeps between its flight and the answer.
#[derive(Default)]
pub(super) struct PersonFlight {
    who: Option<(AccountName, Passphrase)>,
    sent: Option<Sent>,
}

/// What was sent besides the name.
enum Sent {
    /// OPAQUE's first message, after this context.
    Opaque(Box<ClientLogin>, [u8; 32]),
    /// Nothing: the key is to be delivered, sealed for this.
    Delivered(Vec<u8>),
}

impl PersonFlight {
    pub(super) fn new(name: AccountName, passphrase: Passphrase) -> Self {
        Self {
            who: Some((name, passphrase)),
            sent: None,
        }
    }

    pub(super) fn send(
        &mut self,
        settings: &Settings,
        option: EncryptionOption,
        transcript: &mut Transcript,
        entropy: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<(), LoginError> {
        let Some((name, passphrase)) = &self.who else {
            return Err(UNFIT);
        };
        let name = name.to_string();
        if option == EncryptionOption::DeliveredKey {
            let who = (c::USERNAME, name.as_bytes());
            let info = delivered::send(who, settings.max_packet, transcript, entropy, out)?;
            self.sent = Some(Sent::Delivered(info));
            return Ok(());
        }
        let fields = [
            (c::USERNAME, Value::Bytes(name.as_bytes())),
            (c::MAX_PACKET, Value::U32(settings.max_packet)),
        ];
        for (command, value) in fields {
            client_says(transcript, out, command, value).map_err(|_| UNFIT)?;
        }
        let (login, start) = ClientLogin::start(option.login_suite(), passphrase, entropy)
            .map_err(|_| LoginError::Protocol("the pass phrase cannot be used"))?;
        let context = transcript.digest("login context");
        client_says(transcript, out, c::LOGIN_START, Value::Bytes(&start)).map_err(|_| UNFIT)?;
        self.sent = Some(Sent::Opaque(Box::new(login), context));
        Ok(())
    }
}

const UNFIT: LoginError = LoginError::Protocol("a value that does not fit its command");

/// The site has proved itself; the pass phrase is to be stretched and its proof sent.
///
/// A step of its own because it takes a fraction of a second and 64 MiB: an asynchronous host runs it
/// where blocking is allowed.
pub struct Stretch {
    login: Login,
    passphrase: Passphrase,
    sent: Sent,
    _proof: SiteProved,
}

impl Stretch {
    pub(super) fn new(
        login: Login,
        flight: PersonFlight,
        said: &[u8; 32],
        signature: &[u8],
    ) -> Result<Self, LoginError> {
        let (Some((_, passphrase)), Some(sent)) = (flight.who, flight.sent) else {
            return Err(UNFIT);
        };
        let proof = site_proved(&login, said, signature)?;
        Ok(Self {
            login,
            passphrase,
            sent,
            _proof: proof,
        })
    }

    /// Stretches the pass phrase, opens the person's identity and appends the proof to `out`.
    ///
    /// # Errors
    /// [`LoginError::NotAuthenticated`] when the pass phrase is wrong, or the name unknown or locked:
    /// the client cannot tell which.
    pub fn run(self, entropy: &mut dyn Entropy, out: &mut Vec<u8>) -> Result<Login, LoginError> {
        let Self {
            mut login,
            passphrase,
            sent,
            _proof,
        } = self;
        let (opaque, context) = match sent {
            Sent::Opaque(opaque, context) => (*opaque, context),
            Sent::Delivered(info) => return open_delivered(login, &passphrase, &info, out),
        };
        let max_packet = login.agreed_max_packet()?;
        let (Some(session_key), Some(certificate)) = (
            login.answer.session_key.take(),
            login.answer.certificate.take(),
        ) else {
            return Err(LoginError::Protocol(
                "an answer without CERTIFICATE or SESSION-KEY",
            ));
        };
        let done = opaque
            .finish(
                &passphrase,
                &session_key,
                &login_context(&context, max_packet),
                Identifiers {
                    client: None,
                    server: Some(&login.settings.site.to_bytes()),
                },
                entropy,
            )
            .map_err(|_| LoginError::NotAuthenticated)?;
        let identity = sealed_identity::open(&certificate, &done.export_key)
            .map_err(|_| LoginError::Protocol("the person's identity does not open"))?;
        client_says(
            &mut login.transcript,
            out,
            c::SESSION_PROOF,
            Value::Bytes(&done.ke3),
        )
        .map_err(|_| UNFIT)?;
        let established = Established::new(
            login.option,
            done.session_key.expose(),
            &login.transcript.digest("packets"),
            max_packet,
        );
        let identity = Some(Box::new(identity));
        Ok(login.await_welcome(
            Link::client(&established),
            identity,
            Resumption::first(established.resumption),
        ))
    }
}

/// Opens the key that was delivered, and with it the session.
fn open_delivered(
    mut login: Login,
    passphrase: &Passphrase,
    info: &[u8],
    out: &mut Vec<u8>,
) -> Result<Login, LoginError> {
    let certificate = login.answer.certificate.take();
    let delivered = certificate.as_deref().and_then(from_wire);
    let delivered = delivered.ok_or(LoginError::Protocol("CERTIFICATE delivers no key"))?;
    let identity = delivered
        .open(passphrase)
        .map_err(|_| LoginError::NotAuthenticated)?;
    let (mut login, link, resumption) = delivered::prove(login, &identity, info, out)?;
    login.delivered = Some(Box::new(delivered));
    Ok(login.await_welcome(link, Some(Box::new(identity)), resumption))
}

/// That the other end signed what it said, with the site key that was pinned.
pub(super) fn site_proved(
    login: &Login,
    said: &[u8; 32],
    signature: &[u8],
) -> Result<SiteProved, LoginError> {
    let signature = Signature(signature.try_into().map_err(|_| LoginError::WrongSite)?);
    SiteProved::by_signature(&login.settings.site, said, &signature).ok_or(LoginError::WrongSite)
}
