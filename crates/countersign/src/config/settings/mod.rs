//! The table of all settings of `countersign.toml`.
//!
//! `config example`, `example.toml` and `docs/reference/configuration.md` are written from this table
//! ([`super::reference`]); [`super::limits`] checks ranges with it, and a reload takes from it which
//! settings need a restart.

mod delivery_settings;
mod limit_settings;

use std::ops::RangeInclusive;

use countersign_server::limits::Limits;

use delivery_settings::DELIVERY_SETTINGS;
use limit_settings::LIMIT_SETTINGS;

/// One key of the file.
pub(crate) struct Setting {
    /// The section it is in; empty for the keys before the first section.
    pub(crate) section: &'static str,
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    pub(crate) applies: Applies,
    /// What it does: whole sentences.
    pub(crate) what: &'static str,
    /// What a dangerous value does; empty if none is dangerous.
    pub(crate) warning: &'static str,
}

/// The type of a value, with its default and what is allowed.
pub(crate) enum Kind {
    /// A whole number of the section `[limits]`.
    Limit(Limit),
    /// Any other value, which has a type of its own in [`super::Config`].
    Other {
        type_name: &'static str,
        /// The values that are allowed: a phrase.
        allowed: &'static str,
        default: Preset,
    },
}

/// The default of a value, as TOML writes it.
#[derive(Clone, Copy)]
pub(crate) enum Preset {
    Is(&'static str),
    /// The key is required and has this value.
    Required(&'static str),
    /// There is none; the example file has this value in a comment.
    None {
        example: &'static str,
    },
}

/// When a changed value takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applies {
    /// At SIGHUP, and at once with `config set`.
    Reload,
    /// At SIGHUP, and only from the file: the setting names a file of this machine, or decides where the site
    /// sends secrets. A stolen session of an admin must not set it.
    ReloadFile,
    /// At the next start.
    Restart,
    /// At the first launch, which creates the site.
    FirstLaunch,
}

impl Applies {
    /// Whether a change in the file takes effect at SIGHUP.
    pub(crate) const fn at_reload(self) -> bool {
        matches!(self, Self::Reload | Self::ReloadFile)
    }

    /// Whether an admin can set the setting in the database, with `config set`.
    pub(crate) const fn in_database(self) -> bool {
        matches!(self, Self::Reload)
    }
}

/// A whole number that becomes a field of [`Limits`].
pub(crate) struct Limit {
    pub(crate) unit: &'static str,
    pub(crate) range: RangeInclusive<u64>,
    pub(crate) get: fn(&Limits) -> u64,
    pub(crate) set: fn(&mut Limits, u64),
}
/// The section whose settings become [`Limits`].
pub(crate) const LIMITS: &str = "limits";

/// The settings outside `[limits]`, in the order of the example file.
static OTHER_SETTINGS: &[Setting] = &[
    Setting {
        section: "",
        key: "version",
        kind: Kind::Other {
            type_name: "integer",
            allowed: "1",
            default: Preset::Required("1"),
        },
        applies: Applies::Restart,
        what: "The version of the format of this file.",
        warning: "",
    },
    Setting {
        section: "listen",
        key: "session",
        kind: Kind::Other {
            type_name: "string",
            allowed: "`ADDRESS:PORT` or `NAME:PORT`; port 0 takes a free port; no multicast address",
            default: Preset::Is("\"0.0.0.0:4747\""),
        },
        applies: Applies::Restart,
        what: "The address on which the site serves the session protocol. `--session-listen` and \
               COUNTERSIGN_SESSION_LISTEN override it.",
        warning: "",
    },
    Setting {
        section: "listen",
        key: "http",
        kind: Kind::Other {
            type_name: "string",
            allowed: "as `session`, with another port; `\"\"` serves no HTTP",
            default: Preset::Is("\"127.0.0.1:4749\""),
        },
        applies: Applies::Restart,
        what: "The address of the HTTP listener: ticket requests of applications, the REST API with its \
               events, the web console, and sessions over a WebSocket. Ticket requests and sessions are \
               encrypted themselves; the credentials of the REST API are not, so that an address \
               for other machines needs `http_tls`, or a proxy in `http_proxies`. `--http-listen` and COUNTERSIGN_HTTP_LISTEN override it.",
        warning: "",
    },
    Setting {
        section: "listen",
        key: "http_proxies",
        kind: Kind::Other {
            type_name: "list of strings",
            allowed: "IP addresses of hosts, not networks; no unspecified or multicast address",
            default: Preset::Is("[\"127.0.0.1\", \"::1\"]"),
        },
        applies: Applies::Reload,
        what: "The trusted proxies in front of the HTTP listener. A request from such an address counts \
               for no source, the proxy gets no penalties, and its connections have a limit of their own \
               (`limits.proxied_connections`).",
        warning: "Penalties and limits per source do not apply to these addresses over HTTP. List an \
                  address only if nothing but the proxy connects from it.",
    },
    Setting {
        section: "listen",
        key: "http_forwarded",
        kind: Kind::Other {
            type_name: "boolean",
            allowed: "`true` needs at least one address in `http_proxies`",
            default: Preset::Is("false"),
        },
        applies: Applies::Reload,
        what: "Whether a request from a trusted proxy counts for the client in `x-forwarded-for`: for the \
               last address in it that is not a trusted proxy's.",
        warning: "The proxy must set `x-forwarded-for` or append to it. If it passes on what the client \
                  sent, a client chooses the address that its abuse counts for.",
    },
    Setting {
        section: "listen",
        key: "http_origins",
        kind: Kind::Other {
            type_name: "list of strings",
            allowed: "at most 64 origins, as `https://site.example`",
            default: Preset::Is("[]"),
        },
        applies: Applies::Restart,
        what: "The origins of web pages that may open a session over a WebSocket, besides that of \
               `public_url`. Pages that call the REST API need `countersign site config --web-origin \
               ORIGIN` instead. Pages that come from the host of the listener itself may do so if it \
               is named by its address or as localhost.",
        warning: "",
    },
    Setting {
        section: "listen",
        key: "console",
        kind: Kind::Other {
            type_name: "boolean",
            allowed: "",
            default: Preset::Is("true"),
        },
        applies: Applies::Restart,
        what: "Whether the HTTP listener serves the web console at `/console/`. Its files need no login and \
               contain nothing of the site but its URI.",
        warning: "",
    },
    Setting {
        section: "listen",
        key: "http_tls",
        kind: Kind::Other {
            type_name: "string",
            allowed: "`\"off\"`, `\"site\"`, `\"files\"`",
            default: Preset::Is("\"off\""),
        },
        applies: Applies::Restart,
        what: "Whether the HTTP listener has TLS 1.3. `site` uses a certificate of the site key, which clients pin: \
               `countersign site status` shows the pin. `files` uses `http_certificate` and `http_key`. `off` is for an \
               address of this machine, or a proxy with TLS on another machine that `http_proxies` names. \
               `--http-tls` and COUNTERSIGN_HTTP_TLS override it.",
        warning: "",
    },
    Setting {
        section: "listen",
        key: "http_certificate",
        kind: Kind::Other {
            type_name: "string",
            allowed: "a path; a relative one begins at the folder of this file",
            default: Preset::None {
                example: "\"/etc/ssl/site.example.pem\"",
            },
        },
        applies: Applies::Restart,
        what: "The file of the certificate of the HTTP listener, with its chain, in PEM. It is read again when it \
               changes. A file that cannot be used leaves the previous certificate in use.",
        warning: "",
    },
    Setting {
        section: "listen",
        key: "http_key",
        kind: Kind::Other {
            type_name: "string",
            allowed: "a path; a relative one begins at the folder of this file",
            default: Preset::None {
                example: "\"/etc/ssl/site.example.key\"",
            },
        },
        applies: Applies::Restart,
        what: "The file of the private key of that certificate, in PEM, not encrypted.",
        warning: "Only the user of the site may read it.",
    },
    Setting {
        section: "listen",
        key: "public_host",
        kind: Kind::Other {
            type_name: "string",
            allowed: "a DNS name or an IP address, without scheme, port and path",
            default: Preset::None {
                example: "\"auth.example.org\"",
            },
        },
        applies: Applies::Restart,
        what: "The host under which clients reach this site, for the site's URI. `--public-host` and \
               COUNTERSIGN_PUBLIC_HOST override it.",
        warning: "",
    },
    Setting {
        section: "listen",
        key: "device",
        kind: Kind::Other {
            type_name: "string",
            allowed: "as `session`, with another port; `\"\"` serves no devices",
            default: Preset::Is("\"0.0.0.0:4748\""),
        },
        applies: Applies::Restart,
        what: "The address on which devices enrol and connect. `--device-listen` and \
               COUNTERSIGN_DEVICE_LISTEN override it.",
        warning: "",
    },
    Setting {
        section: "listen",
        key: "enrolment_address",
        kind: Kind::Other {
            type_name: "string",
            allowed: "`HOST` or `HOST:PORT`; an IPv6 address with a port is in brackets",
            default: Preset::None {
                example: "\"enrol.example.org:4748\"",
            },
        },
        applies: Applies::Restart,
        what: "The address in enrolment tickets: where new devices reach the device listener. A missing host \
               is `public_host` or else the listener's, a missing port is the listener's.",
        warning: "",
    },
    Setting {
        section: "listen",
        key: "device_address",
        kind: Kind::Other {
            type_name: "string",
            allowed: "as `enrolment_address`",
            default: Preset::None {
                example: "\"devices.example.org:4748\"",
            },
        },
        applies: Applies::Restart,
        what: "The address in the reply to an enrolment: where enrolled devices reach the device listener, \
               which may be in a private network. Defaults as for `enrolment_address`.",
        warning: "",
    },
    Setting {
        section: "listen",
        key: "peer",
        kind: Kind::Other {
            type_name: "string",
            allowed: "as `session`, with another port; `\"\"` serves no peers",
            default: Preset::Is("\"0.0.0.0:4750\""),
        },
        applies: Applies::Restart,
        what: "The address on which other sites connect. The site listens there once an admin has started the \
               peer server (`countersign peer start`). `--peer-listen` and COUNTERSIGN_PEER_LISTEN override it.",
        warning: "",
    },
    Setting {
        section: "listen",
        key: "peer_address",
        kind: Kind::Other {
            type_name: "string",
            allowed: "as `enrolment_address`",
            default: Preset::None {
                example: "\"peers.example.org:4750\"",
            },
        },
        applies: Applies::Restart,
        what: "The address in peer tickets and in requests to join: where other sites reach the peer listener. \
               Defaults as for `enrolment_address`.",
        warning: "",
    },
    Setting {
        section: "listen",
        key: "public_url",
        kind: Kind::Other {
            type_name: "string",
            allowed: "`https://`, or `http://` to this machine; a host, a port and a path, without `?`, `#` and `@`",
            default: Preset::None {
                example: "\"https://auth.example.org\"",
            },
        },
        applies: Applies::ReloadFile,
        what: "The URL under which browsers reach the HTTP listener, such as that of a proxy with TLS. Links to \
               the web console begin with it: those in messages about alarms, and those with tickets. Without \
               this setting, messages have no links.",
        warning: "",
    },
    Setting {
        section: "listen",
        key: "health",
        kind: Kind::Other {
            type_name: "string",
            allowed: "as `session`, with another port; `\"\"` serves neither health nor metrics",
            default: Preset::Is("\"\""),
        },
        applies: Applies::Restart,
        what: "The address of `/livez`, `/readyz` and `/metrics`, such as `127.0.0.1:4751`. \
               `--health-listen` and COUNTERSIGN_HEALTH_LISTEN override it.",
        warning: "Every client that reaches the address can read the counts, without a credential.",
    },
    Setting {
        section: "site",
        key: "zone",
        kind: Kind::Other {
            type_name: "string",
            allowed: "a zone, such as `example.org`",
            default: Preset::None {
                example: "\"local\"",
            },
        },
        applies: Applies::FirstLaunch,
        what: "The zone of account names that are given without one; `local` if it is not set. The first \
               launch stores it in the database. A later change has no effect and is logged as a warning. \
               `--zone` overrides it.",
        warning: "",
    },
    Setting {
        section: "log",
        key: "format",
        kind: Kind::Other {
            type_name: "string",
            allowed: "`\"text\"`, `\"json\"`",
            default: Preset::Is("\"text\""),
        },
        applies: Applies::Restart,
        what: "The format of log lines, which go to standard error.",
        warning: "",
    },
    Setting {
        section: "log",
        key: "level",
        kind: Kind::Other {
            type_name: "string",
            allowed: "`off`, `error`, `warn`, `info`, `debug`, `trace`; `MODULE=LEVEL` after a comma",
            default: Preset::Is("\"info\""),
        },
        applies: Applies::Reload,
        what: "The least severe level that is logged. A module of the program may have a level of its own, \
               as in `info,countersign_server=debug`. COUNTERSIGN_LOG overrides it.",
        warning: "With `off`, `error` or `warn` the lines about failed logins and penalties, which fail2ban \
                  reads, are not logged.",
    },
    Setting {
        section: "options",
        key: "floor",
        kind: Kind::Other {
            type_name: "string",
            allowed: "`\"hybrid\"`, `\"classical\"`, `\"delivered\"`, from strong to weak",
            default: Preset::Is("\"delivered\""),
        },
        applies: Applies::Restart,
        what: "The strength below which no encryption option is offered, whatever is enabled. The site has a \
               floor of its own, `classical` in a new site; `countersign option floor` sets it, and not below \
               this one. The stricter of the two holds.",
        warning: "At `delivered` an admin can enable the option delivered-key, without forward secrecy and \
                  open to offline guessing. At `hybrid` clients without ML-KEM cannot log in.",
    },
];

/// All settings, in the order of the example file.
pub(crate) fn all() -> impl Iterator<Item = &'static Setting> {
    let others = OTHER_SETTINGS.iter().chain(DELIVERY_SETTINGS);
    others.chain(LIMIT_SETTINGS)
}

/// Pairs of settings of `[limits]` of which the first must not exceed the second, because the second
/// is reached first. If the first is not in the file, its default is lowered to the second.
pub(crate) const NOT_MORE: [(&str, &str); 9] = [
    ("connections_per_network", "connections"),
    ("connections_per_source", "connections_per_network"),
    ("unauthenticated_early_drop", "unauthenticated"),
    ("unauthenticated_per_network", "unauthenticated"),
    ("unauthenticated_per_source", "unauthenticated_per_network"),
    ("waiting_logins_per_network", "waiting_logins"),
    ("event_streams_per_account", "event_streams"),
    ("penalty_first_ms", "penalty_max_ms"),
    ("login_delay_first_ms", "login_delay_max_ms"),
];

/// Pairs of settings of `[limits]` of which the first must be less than the second: uploads that wait
/// for content leave room for the operation that reads it, and suspended sessions for a new login.
pub(crate) const LESS: [(&str, &str); 2] = [
    ("content_streams", "operations_in_flight"),
    ("suspended_sessions_per_account", "sessions_per_account"),
];

/// The full name of the setting to which the default of a limit is lowered.
pub(crate) fn bound_of(setting: &Setting) -> Option<String> {
    let mut pairs = NOT_MORE.iter().chain(&LESS);
    let (_, bound) = pairs.find(|(less, _)| setting.section == LIMITS && *less == setting.key)?;
    Some(format!("{LIMITS}.{bound}"))
}

/// The setting of that full name, such as `log.level`.
pub(crate) fn find(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.name() == name)
}

/// The full name of the setting that is most similar to a name.
pub(crate) fn nearest(name: &str) -> Option<String> {
    let names = all().map(Setting::name);
    names.min_by_key(|known| strsim::damerau_levenshtein(name, known))
}

impl Setting {
    /// Section and key, as in `log.level`.
    pub(crate) fn name(&self) -> String {
        match self.section {
            "" => self.key.to_owned(),
            section => format!("{section}.{}", self.key),
        }
    }
}

/// The settings of the section `[limits]`.
pub(crate) fn limits() -> impl Iterator<Item = (&'static str, &'static Limit)> {
    all().filter_map(|setting| match &setting.kind {
        Kind::Limit(limit) => Some((setting.key, limit)),
        Kind::Other { .. } => None,
    })
}
