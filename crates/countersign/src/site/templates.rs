//! The folder with templates of e-mail (`mail.templates`).

use std::fs;
use std::path::Path;

use countersign_core::alarms::{MAIL_TEMPLATE_FILES, MailTemplate, MailTemplates};

use super::named_file;
use crate::failure::{Exit, Failure};
use crate::input;

/// The limit on entries of the folder that are read, so that a wrong folder does not stop the site.
const MAX_FOLDER_ENTRIES: usize = 1_000;

/// Reads the templates in a folder. A file whose name begins with `alarm.` has to be a template, so
/// that a misspelled name is found; copies of an editor, which end with `~`, and other files are ignored.
///
/// # Errors
/// The folder or a file cannot be read, or a template is not valid: the message names file and line.
pub(super) fn read(folder: &Path) -> Result<MailTemplates, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| Failure::file(folder, &error))?;
    for entry in entries.take(MAX_FOLDER_ENTRIES) {
        let entry = entry.map_err(|error| Failure::file(folder, &error))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_ours = name.starts_with("alarm.") && !name.ends_with('~');
        if is_ours && !MAIL_TEMPLATE_FILES.contains(&name.as_ref()) {
            let file = entry.path();
            let problem = format!("{} is not the name of a template", file.display());
            let names = MAIL_TEMPLATE_FILES.join(", ");
            return Err(invalid(&problem).hint(format_args!("name it one of {names}")));
        }
    }
    let files = MAIL_TEMPLATE_FILES
        .iter()
        .map(|name| (*name, folder.join(name)));
    let present = files.filter(|(_, file)| file.symlink_metadata().is_ok());
    present
        .map(|(name, file)| {
            let text = input::as_text(&file, named_file::bytes(&file)?)?;
            MailTemplate::parse(name, &text)
                .map_err(|bad| invalid(&format!("{}, {bad}", file.display())))
        })
        .collect()
}

fn invalid(problem: &str) -> Failure {
    Failure::new(
        Exit::Failure,
        "config",
        format_args!("mail.templates: {problem}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ALM-26.
    #[test]
    fn a_wrong_template_is_refused_with_its_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        assert_eq!(read(folder.path()).unwrap(), MailTemplates::default());
        write("alarm.en.txt", "{{alarms}}\n");
        for ignored in ["alarm.en.txt~", "README", ".alarm.en.txt.swp"] {
            write(ignored, "{{");
        }
        assert_ne!(read(folder.path()).unwrap(), MailTemplates::default());
        write("alarm.de.html", "{{alarms}}\n<b>{{phone}}</b>\n");
        let refused = read(folder.path()).unwrap_err();
        let file = folder.path().join("alarm.de.html");
        let beginning = format!("mail.templates: {}, line 2: ", file.display());
        assert!(
            refused.message.starts_with(&beginning),
            "{}",
            refused.message
        );
        fs::remove_file(file).unwrap();
        write("alarm.fr.txt", "{{alarms}}");
        let refused = read(folder.path()).unwrap_err();
        assert!(
            refused.message.contains("alarm.fr.txt"),
            "{}",
            refused.message
        );
        assert_eq!(refused.exit, Exit::Failure);
    }

    #[test]
    fn a_folder_that_is_missing_and_a_file_that_is_no_text_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            read(&folder.path().join("none")).unwrap_err().exit,
            Exit::NotFound
        );
        fs::write(folder.path().join("alarm.en.txt"), b"\xff{{alarms}}").unwrap();
        assert!(read(folder.path()).is_err());
        fs::remove_file(folder.path().join("alarm.en.txt")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("alarm.en.txt")).unwrap();
        assert!(read(folder.path()).is_err());
    }
}
