//! A reader that types the commands of a page in terminals.
//!
//! - The commands are typed unchanged, with two exceptions: `127.0.0.1` is replaced by another address of
//!   this machine, so that tests do not share ports, and an id on the page is replaced by the id that was
//!   printed in its place.
//! - A secret is typed at its prompt: a shown line that ends with a colon.
//! - The output must be what the page shows ([`super::shape`]). If the page shows none, any output is right.
//! - A command must succeed unless the page shows an `error:`.
//! - A command that [stays](STAYS) keeps its terminal. The next command is typed in another one.
//! - In a dialog, the text after its prompt is typed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

use super::markdown::Step;
use super::shape::{Pairs, compare};
use crate::running::{MARIAS_PASSPHRASE, SITE_PASSPHRASE};
use crate::screen::Terminal;

/// Commands that run until they are stopped.
const STAYS: [&str; 4] = [
    "countersign serve",
    "countersign dev",
    "countersign shell",
    "cargo run -p countersign-examples --bin provider",
];
/// The prompt of the shell in the terminals, which shows the exit code of the last command.
const PROMPT: &str = "@ended $?@ ";
/// The prompt of `countersign shell`.
const DIALOG: &str = "maria@local> ";

pub(crate) struct Reader {
    folder: PathBuf,
    address: String,
    /// Commands are typed in the last terminal.
    terminals: Vec<Terminal>,
    pairs: Pairs,
}

impl Reader {
    /// Starts in a folder.
    pub(crate) fn new(folder: &Path) -> Self {
        static READERS: AtomicU8 = AtomicU8::new(1);
        let [_, a, b, c] = std::process::id().to_be_bytes();
        let own = READERS.fetch_add(1, Ordering::Relaxed) % 4;
        let mut reader = Self {
            folder: folder.to_owned(),
            address: format!("127.{}.{b}.{c}", own << 6 | a & 0x3f),
            terminals: Vec::new(),
            pairs: Vec::new(),
        };
        reader.open();
        reader
    }

    fn open(&mut self) {
        let (address, folder) = (&self.address, self.folder.display());
        let binary = Path::new(env!("CARGO_BIN_EXE_countersign"))
            .parent()
            .unwrap();
        let path = std::env::var("PATH").unwrap();
        let variables = [
            ("PATH", format!("{folder}/bin:{}:{path}", binary.display())),
            ("PS1", PROMPT.to_owned()),
            ("XDG_STATE_HOME", format!("{folder}/state")),
            ("XDG_CONFIG_HOME", format!("{folder}/config")),
            ("COUNTERSIGN_HTTP_LISTEN", format!("{address}:4749")),
            ("COUNTERSIGN_SESSION_LISTEN", format!("{address}:4747")),
            ("COUNTERSIGN_DEVICE_LISTEN", format!("{address}:4748")),
            ("COUNTERSIGN_PEER_LISTEN", format!("{address}:4750")),
            ("LISTEN", format!("{address}:8080")),
            ("LEDGER", format!("http://{address}:8080")),
            ("SITE_URL", format!("http://{address}:4749")),
        ];
        let shell = "stty -echo; exec bash --norc --noprofile --noediting -i";
        let mut terminal = Terminal::run_with(&self.folder, shell, &variables);
        terminal.until("@ended 0@ ");
        self.terminals.push(terminal);
    }

    /// Types a command and checks its output.
    pub(crate) fn follow(&mut self, step: &Step<'_>) {
        let stays = STAYS.iter().any(|start| {
            let rest = step.command.strip_prefix(start);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        });
        let typed = self.as_typed(step.command);
        let terminal = self.terminals.last_mut().unwrap();
        terminal.press(&format!("{typed}\n"));
        let mut printed = String::new();
        for line in &step.shown {
            if let Some(typed) = line.strip_prefix(DIALOG) {
                printed += &terminal.shown_until(DIALOG);
                terminal.press(&format!("{typed}\n"));
            } else if let Some(secret) = secret(line, &self.folder) {
                let prompt = format!("{} ", line.trim());
                printed += &terminal.shown_until(&prompt);
                printed += &prompt;
                terminal.press(&format!("{secret}\n"));
            }
        }
        let shown: Vec<&str> = step
            .shown
            .iter()
            .copied()
            .filter(|line| !is_left_out(line))
            .collect();
        if stays {
            let last = shown
                .last()
                .and_then(|line| line.split_whitespace().next())
                .unwrap();
            printed += &terminal.shown_until(last);
            printed += last;
            printed += &terminal.shown_until("\n");
            self.open();
        } else {
            printed += &terminal.shown_until("@ended ");
            let code = terminal.shown_until("@ ");
            let fails = step.shown.iter().any(|line| line.starts_with("error:"));
            assert_eq!(
                code != "0",
                fails,
                "{}: code {code}: {printed}",
                step.command
            );
        }
        if shown.is_empty() {
            return;
        }
        let printed = self.as_printed(&printed);
        let lines: Vec<&str> = printed.lines().filter(|line| !is_left_out(line)).collect();
        let gaps = shown.iter().flat_map(|line| ["…", line]);
        let shown = if stays { gaps.collect() } else { shown };
        let pairs = compare(&shown, &lines);
        let pairs = pairs.unwrap_or_else(|| {
            let shown = step.shown.join("\n");
            panic!(
                "{}\nthe page shows:\n{shown}\nit printed:\n{printed}",
                step.command
            )
        });
        self.pairs.extend(pairs);
    }

    fn as_typed(&self, command: &str) -> String {
        let mut typed = command.replace("127.0.0.1", &self.address);
        for (shown, printed) in self.pairs.iter().filter(|(shown, _)| shown.len() == 36) {
            typed = typed.replace(shown, printed);
        }
        typed
    }

    /// The text of a screen, without colors.
    fn as_printed(&self, text: &str) -> String {
        let mut parts = text.split("\u{1b}[");
        let mut plain = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            plain += part
                .trim_start_matches(|c: char| !c.is_ascii_alphabetic())
                .get(1..)
                .unwrap_or_default();
        }
        plain.replace('\r', "").replace(&self.address, "127.0.0.1")
    }
}

/// Whether a line is empty or was typed.
fn is_left_out(line: &str) -> bool {
    line.trim().is_empty() || line.contains(DIALOG.trim_end())
}

/// The text to type when the page shows this line, if it is a prompt.
fn secret(line: &str, folder: &Path) -> Option<String> {
    let (line, asks) = (line.to_lowercase(), line.trim().ends_with(':'));
    if asks && line.starts_with("recovery code") {
        // The test wrote it, as the operator has it on paper.
        return std::fs::read_to_string(folder.join("recovery.code")).ok();
    }
    let asks = asks && line.contains("pass phrase");
    let secret = match line.contains("site's key") {
        true => SITE_PASSPHRASE,
        false => MARIAS_PASSPHRASE,
    };
    asks.then(|| secret.to_owned())
}
