//! Flags for the listeners. They override the configuration file.

use std::net::SocketAddr;

use clap::Args;
use countersign_server::{HttpTls, Proxies};

use crate::config::{Config, HttpEncryption, PublicHost};
use crate::failure::{Exit, Failure};
use crate::input::{self, address};

/// Flags for the listeners.
#[derive(Debug, Clone, Args)]
pub(crate) struct Listen {
    /// Address or local host name of the session listener; port 0 takes a free port.
    #[arg(long, env = "COUNTERSIGN_SESSION_LISTEN", value_name = "ADDRESS:PORT", value_parser = address::parse)]
    pub(crate) session_listen: Option<SocketAddr>,
    /// Address of the HTTP listener, on which applications request tickets; port 0 takes a free port.
    #[arg(long, env = "COUNTERSIGN_HTTP_LISTEN", value_name = "ADDRESS:PORT", value_parser = address::parse)]
    pub(crate) http_listen: Option<SocketAddr>,
    /// TLS of the HTTP listener: `site` uses a certificate of the site key.
    #[arg(long, env = "COUNTERSIGN_HTTP_TLS", value_name = "TLS", value_enum)]
    pub(crate) http_tls: Option<HttpEncryption>,
    /// Address of the device listener, on which devices enrol and connect; port 0 takes a free port.
    #[arg(long, env = "COUNTERSIGN_DEVICE_LISTEN", value_name = "ADDRESS:PORT", value_parser = address::parse)]
    pub(crate) device_listen: Option<SocketAddr>,
    /// Address of the peer listener, on which other sites connect; port 0 takes a free port.
    #[arg(long, env = "COUNTERSIGN_PEER_LISTEN", value_name = "ADDRESS:PORT", value_parser = address::parse)]
    pub(crate) peer_listen: Option<SocketAddr>,
    /// Address of `/livez`, `/readyz` and `/metrics`; port 0 takes a free port. Not served by default.
    #[arg(long, env = "COUNTERSIGN_HEALTH_LISTEN", value_name = "ADDRESS:PORT", value_parser = address::parse)]
    pub(crate) health_listen: Option<SocketAddr>,
    /// Host under which clients reach this site; it appears in the site's URI.
    #[arg(long, env = "COUNTERSIGN_PUBLIC_HOST", value_name = "HOST", value_parser = input::trimmed::<PublicHost>)]
    pub(crate) public_host: Option<PublicHost>,
}

/// The trusted proxies of the configuration.
pub(super) fn proxies(config: &Config) -> Proxies {
    Proxies {
        addresses: config.listen.http_proxies.clone(),
        trust_forwarded: config.listen.http_forwarded,
    }
}

/// The TLS of the HTTP listener. A relative path begins at the folder of the configuration file.
///
/// # Errors
/// The settings contradict each other.
pub(super) fn http_tls(config: &Config) -> Result<HttpTls, Failure> {
    let listen = &config.listen;
    let problem = |text| Err(Failure::new(Exit::Failure, "config", text));
    match (listen.http_tls, &listen.http_certificate, &listen.http_key) {
        (HttpEncryption::Off, None, None) => Ok(HttpTls::Off),
        (HttpEncryption::Site, None, None) => Ok(HttpTls::Site),
        (HttpEncryption::Files, Some(certificate), Some(key)) => Ok(HttpTls::Files {
            certificate: config.folder.join(certificate),
            key: config.folder.join(key),
        }),
        (HttpEncryption::Files, _, _) => {
            problem("listen.http_tls = \"files\" needs listen.http_certificate and listen.http_key")
        }
        (HttpEncryption::Off | HttpEncryption::Site, _, _) => {
            problem("listen.http_certificate and listen.http_key need listen.http_tls = \"files\"")
        }
    }
}

/// Applies flags to the configuration.
pub(super) fn apply_flags(config: &mut Config, listen: Listen) -> Result<(), Failure> {
    if let Some(address) = listen.session_listen {
        config.listen.session = address;
    }
    if listen.http_listen.is_some() {
        config.listen.http = listen.http_listen;
    }
    if let Some(tls) = listen.http_tls {
        config.listen.http_tls = tls;
    }
    if listen.device_listen.is_some() {
        config.listen.device = listen.device_listen;
    }
    if listen.peer_listen.is_some() {
        config.listen.peer = listen.peer_listen;
    }
    if listen.health_listen.is_some() {
        config.listen.health = listen.health_listen;
    }
    if listen.public_host.is_some() {
        config.listen.public_host = listen.public_host;
    }
    config.check_listeners()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_certificate_belong_to_one_setting() {
        let config = |tls, certificate: Option<&str>, key: Option<&str>| {
            let mut config = Config::default();
            config.folder = "/etc/site".into();
            config.listen.http_tls = tls;
            config.listen.http_certificate = certificate.map(Into::into);
            config.listen.http_key = key.map(Into::into);
            http_tls(&config).ok()
        };
        let files = HttpTls::Files {
            certificate: "/etc/site/own.pem".into(),
            key: "/keys/own.key".into(),
        };
        let given = (Some("own.pem"), Some("/keys/own.key"));
        assert_eq!(config(HttpEncryption::Files, given.0, given.1), Some(files));
        assert_eq!(config(HttpEncryption::Off, None, None), Some(HttpTls::Off));
        assert_eq!(
            config(HttpEncryption::Site, None, None),
            Some(HttpTls::Site)
        );
        assert_eq!(config(HttpEncryption::Files, given.0, None), None);
        assert_eq!(config(HttpEncryption::Site, given.0, given.1), None);
    }
}
