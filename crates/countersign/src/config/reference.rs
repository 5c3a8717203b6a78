//! Writes the example file and the reference page from the table of settings.

use std::fmt::Write;

use countersign_server::limits::Limits;

use super::settings::{self, Kind, Preset, Setting};

/// Columns at which text is wrapped.
const WIDTH: usize = 100;

/// A commented file with every setting at its default.
pub(crate) fn example() -> String {
    let mut text = "# The configuration of a Countersign site. Values that are not commented out are the defaults; a commented key is not set.\n\
                    # SIGHUP makes `serve` read this file again. The log names changes that need a restart.\n\
                    # A flag overrides an environment variable, which overrides this file, which overrides `countersign config set`.\n"
        .to_owned();
    let mut section = "";
    for setting in settings::all() {
        text.push('\n');
        if setting.section != section {
            section = setting.section;
            let _ = writeln!(text, "[{section}]");
        }
        comment(&mut text, setting.what);
        let values = setting.values();
        comment(&mut text, &format!("{values}."));
        if !setting.warning.is_empty() {
            comment(&mut text, &format!("Warning: {}", setting.warning));
        }
        let key = setting.key;
        let _ = match setting.preset() {
            Ok(default) => writeln!(text, "{key} = {default}"),
            Err(example) => writeln!(text, "# {key} = {example}"),
        };
    }
    text
}

fn comment(text: &mut String, what: &str) {
    wrap(text, what, "# ", "# ");
}

/// Appends words in lines of at most [`WIDTH`] columns.
fn wrap(text: &mut String, words: &str, first: &str, next: &str) {
    let mut line = first.to_owned();
    let mut empty = true;
    for word in words.split_whitespace() {
        if !empty && line.len() + 1 + word.len() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = next.to_owned();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    text.push_str(&line);
    text.push('\n');
}

impl Setting {
    /// The default as TOML writes it; an example if there is no default.
    pub(crate) fn preset(&self) -> Result<String, &'static str> {
        match &self.kind {
            Kind::Limit(limit) => Ok((limit.get)(&Limits::default()).to_string()),
            Kind::Other { default, .. } => match *default {
                Preset::Is(value) | Preset::Required(value) => Ok(value.to_owned()),
                Preset::None { example } => Err(example),
            },
        }
    }

    /// The type, or the unit of a number, and the values that are allowed.
    fn values(&self) -> String {
        match &self.kind {
            Kind::Other {
                type_name, allowed, ..
            } => format!("Type: {type_name}. Allowed: {allowed}"),
            Kind::Limit(limit) => {
                let unit = match limit.unit {
                    "ms" => "milliseconds",
                    "1/min" => "per minute",
                    unit => unit,
                };
                format!("Unit: {unit}. Allowed: {}", self.range())
            }
        }
    }

    fn range(&self) -> String {
        match &self.kind {
            Kind::Other { allowed, .. } => (*allowed).to_owned(),
            Kind::Limit(limit) => match (limit.range.start(), limit.range.end()) {
                // No process can have as many: nothing that the reader has to know.
                (least, most) if *most >= u64::from(u32::MAX) && limit.unit != "ms" => {
                    format!("{least} or more")
                }
                (least, most) => format!("{least} to {most}"),
            },
        }
    }
}

/// The reference page in Markdown.
#[cfg(test)]
fn page() -> String {
    use super::settings::{Applies, LESS, NOT_MORE};

    let mut page = "\
# Configuration

The settings of `countersign.toml`, the file in the site's folder. `serve --config FILE` names
another file. `countersign config example` prints a commented file with every default, and
`countersign config check` reports errors in a file. An unknown key, and a value outside its range,
are errors.

A flag overrides an environment variable, which overrides this file, which overrides the database
(`countersign config set`), which overrides the default. `countersign config list` shows where each
value of a running site comes from.

The column *applies* says when a changed value takes effect:

- **reload**: when `serve` gets SIGHUP, and at once with `countersign config set`. A login or a
  session that exists keeps the limits with which it began. A site whose standard input is a
  terminal stops at SIGHUP instead.
- **reload (file only)**: when `serve` gets SIGHUP. `countersign config set` refuses the setting: it
  names files of this machine or decides where the site sends secrets, so only the operator of the
  machine sets it.
- **restart**: at the next start.
- **first launch**: when the site is created, and never again.

A source is an IPv4 address or an IPv6 /64. A network is an IPv4 address or an IPv6 /48.

*This page is generated from the table in `crates/countersign/src/config/settings/mod.rs`. To
change it, change the table and run the tests of `countersign` with `COUNTERSIGN_BLESS=1`.*
"
    .to_owned();
    let mut sections: Vec<&str> = settings::all().map(|setting| setting.section).collect();
    sections.dedup();
    for section in sections {
        let heading = match section {
            "" => "Before the first section".to_owned(),
            section => format!("`[{section}]`"),
        };
        let _ = write!(
            page,
            "\n## {heading}\n\n| key | type | unit | default | allowed | applies |\n|---|---|---|---|---|---|\n"
        );
        let of_section = || settings::all().filter(|setting| setting.section == section);
        for setting in of_section() {
            let (type_name, unit) = match &setting.kind {
                Kind::Limit(limit) => ("integer", limit.unit),
                Kind::Other { type_name, .. } => (*type_name, ""),
            };
            let default = match &setting.kind {
                Kind::Other {
                    default: Preset::Required(_),
                    ..
                } => "(required)".to_owned(),
                _ => setting
                    .preset()
                    .map_or("(not set)".to_owned(), |value| format!("`{value}`")),
            };
            let applies = match setting.applies {
                Applies::Reload => "reload",
                Applies::ReloadFile => "reload (file only)",
                Applies::Restart => "restart",
                Applies::FirstLaunch => "first launch",
            };
            let _ = writeln!(
                page,
                "| `{}` | {type_name} | {unit} | {default} | {} | {applies} |",
                setting.key,
                setting.range()
            );
        }
        page.push('\n');
        for setting in of_section() {
            let mut what = format!("`{}`: {}", setting.key, setting.what);
            if !setting.warning.is_empty() {
                let _ = write!(what, " **Warning:** {}", setting.warning);
            }
            wrap(&mut page, &what, "- ", "  ");
        }
    }
    page.push_str(
        "
## Limits that depend on each other

A file that breaks one of these rules is refused. If the file does not set a limit of the first
table, or `suspended_sessions_per_account`, its default is lowered to fit. `countersign config list`
shows the value in force beside the default.

| limit | must not be more than |
|---|---|
",
    );
    for (less, most) in NOT_MORE {
        let _ = writeln!(page, "| `{less}` | `{most}` |");
    }
    page.push_str("\n| limit | must be less than |\n|---|---|\n");
    for (less, more) in LESS {
        let _ = writeln!(page, "| `{less}` | `{more}` |");
    }
    page.push_str(
        "| `login_delay_max_ms` | half of `unauthenticated_timeout_ms` |
| `login_delay_max_unknown_sources_ms` | `unauthenticated_timeout_ms` |
",
    );
    page
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, parse, settings};
    use super::*;

    #[test]
    fn the_example_and_the_reference_page_are_up_to_date() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (file, wanted) in [
            ("src/config/example.toml", example()),
            ("../../docs/reference/configuration.md", page()),
        ] {
            let file = folder.join(file);
            if std::env::var_os("COUNTERSIGN_BLESS").is_some() {
                std::fs::write(&file, &wanted).unwrap();
            }
            let found = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(
                found == wanted,
                "{} differs from the table of settings; write it with COUNTERSIGN_BLESS=1",
                file.display()
            );
        }
    }

    #[test]
    fn the_example_file_has_the_defaults() {
        assert_eq!(parse(&example()).unwrap().limits(), Limits::default());
        let without_limits = example().split("[limits]").next().unwrap().to_owned();
        assert_eq!(parse(&without_limits).unwrap(), Config::default());
    }

    /// Each line of a setting without a default is a comment; its value is valid too.
    #[test]
    fn the_values_of_settings_without_a_default_are_valid() {
        for setting in settings::all() {
            if let Err(example) = setting.preset() {
                let (section, key) = (setting.section, setting.key);
                assert!(parse(&format!("version = 1\n[{section}]\n{key} = {example}")).is_ok());
            }
        }
    }

    #[test]
    fn the_table_has_every_key_that_the_file_may_have() {
        for section in [
            "",
            "listen",
            "site",
            "log",
            "options",
            "mail",
            "webhook",
            settings::LIMITS,
        ] {
            let header = match section {
                "" => String::new(),
                section => format!("[{section}]\n"),
            };
            let problem = parse(&format!("version = 1\n{header}none = 1")).unwrap_err();
            let (_, known) = problem.split_once("expected ").unwrap();
            let known = known.lines().next().unwrap();
            let mut known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
            known.retain(|key| !settings::all().any(|setting| setting.section == *key));
            known.sort_unstable();
            let of_section = settings::all().filter(|setting| setting.section == section);
            let mut keys: Vec<&str> = of_section.map(|setting| setting.key).collect();
            keys.sort_unstable();
            assert_eq!(keys, known, "[{section}]");
        }
    }

    #[test]
    fn every_setting_is_described_in_sentences() {
        for setting in settings::all() {
            let name = setting.name();
            assert!(setting.what.ends_with('.'), "{name}");
            let warning = setting.warning;
            assert!(warning.is_empty() || warning.ends_with('.'), "{name}");
        }
    }
}
