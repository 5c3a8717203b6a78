//! A prompt at the terminal that does not echo what is typed, and restores the terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rpassword::ConfigBuilder;
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr,
    tcsetattr,
};

use crate::failure::{Exit, Failure};
use crate::log;

const TERMINAL: &str = "/dev/tty";
const CTRL_C: u8 = 3;
/// The error of [`Keys`] for Ctrl-C.
const INTERRUPTED: &str = "interrupted";

/// Shows the prompt and reads a line. Ctrl-C is a failure with an exit code of its own.
pub(crate) fn hidden(prompt: &str) -> Result<String, Failure> {
    let typed = ask(prompt);
    typed.map_err(|error| match error.to_string().as_str() {
        INTERRUPTED => {
            discard_typed_ahead();
            Failure::new(
                Exit::Interrupted,
                "interrupted",
                "interrupted at the prompt",
            )
        }
        _ => Failure::new(Exit::Failure, "prompt", error),
    })
}

/// Discards input that was typed and not read: it was meant for this command, and the shell would run it.
pub(crate) fn discard_typed_ahead() {
    if let Ok(terminal) = File::open(TERMINAL) {
        let _ = tcflush(terminal, QueueSelector::IFlush);
    }
}

fn ask(prompt: &str) -> io::Result<String> {
    log::flush();
    let terminal = OpenOptions::new().read(true).write(true).open(TERMINAL)?;
    let hidden = Hidden::new(terminal.try_clone()?)?;
    let config = ConfigBuilder::new()
        .input_reader(Keys(terminal.try_clone()?))
        .output_writer(terminal.try_clone()?)
        .build();
    let typed = rpassword::prompt_password_with_config(format!("{prompt}: "), config);
    drop(hidden);
    typed
}

/// Restores the terminal if the process ends during a prompt.
pub(crate) fn give_up() {
    if let Some(before) = asking().take() {
        before.restore();
        discard_typed_ahead();
    }
}

/// The terminal and its settings before the prompt; `None` while there is no prompt.
static ASKING: Mutex<Option<Before>> = Mutex::new(None);

fn asking() -> MutexGuard<'static, Option<Before>> {
    ASKING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A terminal and its settings before the prompt.
struct Before {
    terminal: File,
    modes: Termios,
}

impl Before {
    fn restore(mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.modes);
        // The line end was not echoed.
        let _ = self.terminal.write_all(b"\n");
    }
}

/// A terminal without echo that delivers each key. Dropping it restores the settings.
struct Hidden;

impl Hidden {
    fn new(terminal: File) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut modes = before.clone();
        // Without ISIG, Ctrl-C arrives as a key, and the terminal is restored before the process ends.
        modes.local_modes -=
            LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&terminal, OptionalActions::Now, &modes)?;
        *asking() = Some(Before {
            terminal,
            modes: before,
        });
        Ok(Self)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = asking().take() {
            before.restore();
        }
    }
}

/// Reads the keys of a terminal; Ctrl-C is an error.
struct Keys(File);

impl Read for Keys {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        match buffer.get(..read) {
            Some(keys) if keys.contains(&CTRL_C) => Err(io::Error::other(INTERRUPTED)),
            _ => Ok(read),
        }
    }
}
