//! The configuration file that the first launch writes: the example file with the values of its flags.

use countersign_proto::name::Zone;

use super::{Config, Listen, all, example};

/// The text of a new site's configuration file. It has the flags of the first launch, so that later
/// launches do not need them.
pub(crate) fn first(config: &Config, zone: Option<&Zone>) -> String {
    let (listen, usual) = (&config.listen, Listen::default());
    let mut text = without_run_time_settings(&example());
    let mut set = |line: &str, key: &str, value: String| {
        // With quotes, as TOML writes a string.
        let value = toml::Value::String(value);
        text = text.replacen(&format!("\n{line}\n"), &format!("\n{key} = {value}\n"), 1);
    };
    if listen.session != usual.session {
        set(
            "session = \"0.0.0.0:4747\"",
            "session",
            listen.session.to_string(),
        );
    }
    if listen.http != usual.http {
        let http = listen.http.map(|http| http.to_string());
        set(
            "http = \"127.0.0.1:4749\"",
            "http",
            http.unwrap_or_default(),
        );
    }
    if listen.http_tls != usual.http_tls {
        set(
            "http_tls = \"off\"",
            "http_tls",
            listen.http_tls.to_string(),
        );
    }
    if listen.device != usual.device {
        let device = listen.device.map(|device| device.to_string());
        set(
            "device = \"0.0.0.0:4748\"",
            "device",
            device.unwrap_or_default(),
        );
    }
    if listen.peer != usual.peer {
        let peer = listen.peer.map(|peer| peer.to_string());
        set("peer = \"0.0.0.0:4750\"", "peer", peer.unwrap_or_default());
    }
    if let Some(health) = listen.health {
        set("health = \"\"", "health", health.to_string());
    }
    if let Some(host) = &listen.public_host {
        set(
            "# public_host = \"auth.example.org\"",
            "public_host",
            host.to_string(),
        );
    }
    if let Some(zone) = zone {
        set("# zone = \"local\"", "zone", zone.to_string());
    }
    text
}

/// Comments out the settings that may change while the site runs: what is in the file overrides `config set`.
fn without_run_time_settings(example: &str) -> String {
    let mut text = example.replacen(
        "# A flag overrides",
        "# The commented settings have their defaults; `countersign config set` changes them while the site runs, unless\n\
         # this file sets them.\n# A flag overrides",
        1,
    );
    for setting in all().filter(|setting| setting.applies.in_database()) {
        if let Ok(default) = setting.preset() {
            let line = format!("{} = {default}\n", setting.key);
            text = text.replacen(&format!("\n{line}"), &format!("\n# {line}"), 1);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    /// The flags of the first launch were lost: the second launch listened on other addresses.
    #[test]
    fn the_first_file_has_the_flags_of_the_first_launch() {
        let mut config = Config::default();
        assert_eq!(parse(&first(&config, None)).unwrap(), Config::default());
        config.listen.session = "[::1]:5000".parse().unwrap();
        config.listen.http = None;
        config.listen.device = Some("[::1]:5001".parse().unwrap());
        config.listen.public_host = Some("auth.example.org".parse().unwrap());
        let zone: Zone = "example.org".parse().unwrap();
        let read = parse(&first(&config, Some(&zone))).unwrap();
        assert_eq!((read.listen, read.site.zone), (config.listen, Some(zone)));
    }
}
