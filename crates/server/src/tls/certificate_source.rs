//! Where the certificate of the HTTP listener comes from.
//!
//! Files of an operator are read again when they change. While they cannot be used, as between the
//! writes of a certificate and of its key, the previous certificate stays in use.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use countersign_core::engine::{HttpProtection, Site};
use countersign_crypto::secret::SecretBytes;
use countersign_net::tls::{Acceptor, BadCertificate, Https};
use tracing::{error, info};

use crate::clock;
use crate::proxies::Proxies;
use crate::tls::acceptors::Acceptors;

/// The maximum size of the file of a certificate or key, in bytes.
const MAX_FILE: u64 = 256 * 1024;
/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whether the HTTP listener has TLS, and with which certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HttpTls {
    /// None: for an address of this machine, or behind a proxy with TLS.
    #[default]
    Off,
    /// A certificate of the site key. Clients pin it; browsers do not accept it.
    Site,
    /// A certificate of the operator, with its chain, and its key, both in PEM.
    Files {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
}

impl HttpTls {
    /// Whether no credential crosses a network in the clear: there is TLS, the listener is for this machine, or a
    /// proxy of another machine is trusted. One of this machine reaches a loopback address.
    pub(crate) fn protects(&self, address: SocketAddr, proxies: &Proxies) -> bool {
        let is_local = |ip: &IpAddr| ip.to_canonical().is_loopback();
        let is_proxied = proxies.addresses.iter().any(|proxy| !is_local(proxy));
        *self != Self::Off || is_local(&address.ip()) || is_proxied
    }
}

/// A certificate of the HTTP listener that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadHttpCertificate {
    /// A file cannot be read.
    #[error("cannot read {path}: {cause}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// A file is too long.
    #[error("{path} has more than {MAX_FILE} bytes", path = path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The contents cannot be used.
    #[error("{path}: {cause}", path = path.display())]
    Unusable {
        /// The file of the certificate.
        path: PathBuf,
        /// The problem of the contents.
        cause: BadCertificate,
    },
}

/// The certificate of a listener with TLS.
pub(crate) enum CertificateSource {
    Site(Acceptors),
    Files(Arc<CertificateFiles>),
}

impl CertificateSource {
    /// Reads the files; `None` for a listener without TLS.
    pub(crate) fn open(tls: &HttpTls) -> Result<Option<Self>, BadHttpCertificate> {
        Ok(match tls {
            HttpTls::Off => None,
            HttpTls::Site => Some(Self::Site(Acceptors::of_https())),
            HttpTls::Files { certificate, key } => {
                let files = CertificateFiles::open(certificate, key)?;
                Some(Self::Files(Arc::new(files)))
            }
        })
    }

    /// The site's end of TLS; `None` if it has the site key and the site is sealed.
    pub(crate) async fn acceptor(&self, site: &Site) -> Option<Acceptor> {
        match self {
            Self::Site(acceptors) => acceptors.current(site),
            Self::Files(files) => {
                if files.is_due() {
                    let (files, site) = (Arc::clone(files), site.clone());
                    // It reads files, perhaps over a network.
                    let looked = tokio::task::spawn_blocking(move || files.look(&site));
                    let _ = looked.await;
                }
                Some(files.loaded().https.acceptor.clone())
            }
        }
    }

    /// Reads the files now if they have changed.
    pub(crate) fn reload(&self, site: &Site) {
        if let Self::Files(files) = self {
            files.look(site);
        }
    }

    /// Forgets the site key.
    pub(crate) fn forget_keys(&self) {
        if let Self::Site(acceptors) = self {
            acceptors.clear();
        }
    }

    /// What `site status` shows.
    pub(crate) fn protection(&self) -> HttpProtection {
        match self {
            Self::Site(_) => HttpProtection::Site,
            Self::Files(files) => files.protection(),
        }
    }
}

/// A certificate and a key in files.
pub(crate) struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    https: Https,
    /// What the files looked like when they were read last.
    stamp: Stamp,
    looked: Instant,
    /// Why the files as they are cannot be used.
    problem: Option<String>,
}

/// Changes when a file is written or replaced: its device, inode, size and time of modification.
type Stamp = [Option<[i64; 5]>; 2];

impl CertificateFiles {
    fn open(certificate: &Path, key: &Path) -> Result<Self, BadHttpCertificate> {
        let loaded = Loaded {
            // Before they are read: a change in between is seen later.
            stamp: stamp(certificate, key),
            https: read(certificate, key)?,
            looked: clock::monotonic(),
            problem: None,
        };
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            loaded: Mutex::new(loaded),
        })
    }

    fn is_due(&self) -> bool {
        let mut loaded = self.loaded();
        let now = clock::monotonic();
        let is_due = now.saturating_duration_since(loaded.looked) >= LOOK_EVERY;
        if is_due {
            // One connection looks; others go on with what there is.
            loaded.looked = now;
        }
        is_due
    }

    /// Reads the files if they have changed.
    fn look(&self, site: &Site) {
        let stamp = stamp(&self.certificate, &self.key);
        if self.loaded().stamp == stamp {
            return;
        }
        let read = read(&self.certificate, &self.key);
        {
            let mut loaded = self.loaded();
            loaded.stamp = stamp;
            match read {
                Ok(https) => {
                    info!("the certificate of the HTTP listener was read again");
                    loaded.https = https;
                    loaded.problem = None;
                }
                Err(problem) => {
                    error!(%problem, "the HTTP listener keeps its previous certificate");
                    loaded.problem = Some(problem.to_string());
                }
            }
        }
        site.announce_http(Some(self.protection()));
    }

    fn protection(&self) -> HttpProtection {
        let loaded = self.loaded();
        HttpProtection::Files {
            pin: loaded.https.pin,
            problem: loaded.problem.clone(),
        }
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        // Each change under the lock is a single step, so a panic elsewhere leaves a valid state.
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(certificate: &Path, key: &Path) -> Stamp {
    [certificate, key].map(|path| {
        let metadata = std::fs::metadata(path).ok();
        metadata.map(|metadata: Metadata| {
            [
                metadata.dev().cast_signed(),
                metadata.ino().cast_signed(),
                metadata.size().cast_signed(),
                metadata.mtime(),
                metadata.mtime_nsec(),
            ]
        })
    })
}

fn read(certificate: &Path, key: &Path) -> Result<Https, BadHttpCertificate> {
    let (chain, secret) = (contents(certificate)?, contents(key)?);
    Https::of_pem(chain.expose(), secret.expose()).map_err(|cause| BadHttpCertificate::Unusable {
        path: certificate.to_owned(),
        cause,
    })
}

fn contents(path: &Path) -> Result<SecretBytes, BadHttpCertificate> {
    let failed = |cause| BadHttpCertificate::Read {
        path: path.to_owned(),
        cause,
    };
    let file = File::open(path).map_err(failed)?;
    let most = usize::try_from(MAX_FILE).unwrap_or(usize::MAX);
    // The whole at once: growing would leave parts of the key in memory.
    let mut bytes = Vec::with_capacity(most + 1);
    let read = file.take(MAX_FILE + 1).read_to_end(&mut bytes);
    let bytes = SecretBytes::from(bytes);
    match read.map_err(failed)? {
        length if length > most => Err(BadHttpCertificate::TooLong {
            path: path.to_owned(),
        }),
        _ => Ok(bytes),
    }
}
