//! Every command and every operation that a text of the program names exists.

use std::path::PathBuf;

use clap::CommandFactory;
use clap::error::ErrorKind;
use countersign_core::engine::Entry;

use super::*;
use crate::cli::Cli;
use crate::failure::Failure;

/// Crates whose texts appear on the command line.
const CRATES: [&str; 7] = [
    "client",
    "core",
    "countersign",
    "crypto",
    "proto",
    "server",
    "store",
];
const URI: &str = "countersign://127.0.0.1:1#ATprJhWb50UHSdEdAeLCBPEFYO1U09JS1uaGGb9qCg8gKMpHhFq6bqG3sOUJ5C08qbDxvm8OzNTx_a9y3_Xy0zFa-fg";
/// A file whose texts name commands without the name of the program.
const HELP: &str = "countersign/src/exit.rs";

/// The files below a folder whose names have one of these ends, with their contents.
fn sources(folder: String, ends: &[&str]) -> Vec<(PathBuf, String)> {
    let mut folders = vec![PathBuf::from(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|end| ends.iter().any(|one| end == *one))
            {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

/// The string literals in the sources of a crate, without comments and tests.
fn texts(name: &str) -> Vec<(PathBuf, String)> {
    let folder = format!("{}/../{name}/src", env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for (path, text) in sources(folder, &["rs"]) {
        let mut parts = path.components();
        if parts.any(|part| {
            ["tests", "tests.rs"]
                .iter()
                .any(|name| part.as_os_str() == *name)
        }) {
            continue;
        }
        let shipped = text.split("#[cfg(test)]").next().unwrap();
        let all = literals(shipped).into_iter();
        found.extend(all.map(|text| (path.clone(), text)));
    }
    found
}

/// The commands in a source text of the console: each is between quotes, or between backticks within a text.
/// What it inserts is a placeholder.
fn commands_of_console(source: &str) -> Vec<Result<String, String>> {
    let is_comment = |line: &&str| {
        ["//", "/*", "*"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let lines = source.lines().map(str::trim_start);
    let code: Vec<&str> = lines.filter(|line| !is_comment(line)).collect();
    let code = code.join("\n");
    let found = code.match_indices("countersign ").map(|(at, _)| {
        let (before, rest) = code.split_at(at);
        let quote = before.chars().next_back();
        let Some(quote) = quote.filter(|quote| "\"`".contains(*quote)) else {
            return Err(rest.lines().next().unwrap_or_default().to_owned());
        };
        let command = rest.split(quote).next().unwrap_or_default();
        let mut parts = command.split("${");
        let first = parts.next().unwrap_or_default().to_owned();
        Ok(parts.fold(first, |words, part| {
            let (_, after) = part.split_once('}').unwrap_or_default();
            words + "NAME" + after
        }))
    });
    found.collect()
}

/// The string literals of a source text.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let code: Vec<&str> = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code.join("\n").replace("'\"'", "");
    let mut rest = code.as_str();
    while let Some((_, text)) = rest.split_once('"') {
        let mut literal = String::new();
        let mut chars = text.char_indices();
        let mut end = text.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => match chars.next() {
                    Some((_, '\n')) => {
                        let blanks = chars.as_str().len() - chars.as_str().trim_start().len();
                        chars.by_ref().take(blanks).for_each(drop);
                    }
                    Some((_, 'n')) => literal.push('\n'),
                    Some((_, other)) => literal.push(other),
                    None => {}
                },
                other => literal.push(other),
            }
        }
        found.push(literal);
        rest = &text[end..];
    }
    found
}

/// The error in the words of a command, if there is one. A text that names a command may leave out what the
/// command needs.
fn problem(words: &str) -> Option<String> {
    error_in(words, true)
}

/// The error in the words of a command, if there is one. `is_named`: a text only names it.
fn error_in(words: &str, is_named: bool) -> Option<String> {
    let mut sample = Vec::new();
    for word in words.split_whitespace() {
        let is_placeholder = word.starts_with('{') || word.chars().all(|c| c.is_ascii_uppercase());
        sample.push(match word {
            "URI" => URI,
            "URL" => "https://site.example",
            "STRENGTH" => "hybrid",
            _ if is_placeholder && sample == ["lockdown", "lift"] => "person",
            _ if is_placeholder && sample.first() == Some(&"option") => "delivered-key",
            _ if is_placeholder => "x",
            _ => word,
        });
    }
    let mut leaf = &Cli::command();
    let mut named = 0;
    while let Some(next) = sample
        .get(named)
        .and_then(|word| leaf.find_subcommand(word))
    {
        leaf = next;
        named += 1;
    }
    // Its subcommands are the targets of one operation.
    let has_targets = sample[..] == ["lockdown", "lift"];
    let is_alone = named > 0 && named == sample.len() && (!leaf.has_subcommands() || has_targets);
    // A hint gives no site to `call` and `shell`: it is in an environment variable.
    let of_session = match sample[..] {
        // The ticket has the address.
        ["passphrase", "set", ..] => false,
        [first, ..] => ["call", "passphrase", "shell"].contains(&first),
        [] => false,
    };
    let site = ["--site", URI]
        .iter()
        .take(if of_session { 2 } else { 0 })
        .copied();
    let all = std::iter::once(PROGRAM)
        .chain(sample.iter().copied())
        .chain(site);
    match Cli::command().try_get_matches_from(all) {
        Err(error)
            if is_named
                && is_alone
                && matches!(
                    error.kind(),
                    ErrorKind::MissingRequiredArgument
                        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                ) =>
        {
            None
        }
        Err(error) => Some(error.to_string()),
        Ok(_) => None,
    }
}

/// Who writes a text.
#[derive(Clone, Copy, PartialEq)]
enum Writer {
    CommandLine,
    /// The operations of a site.
    Core,
    Other,
}

/// The error in a part of a text between backticks, if there is one.
fn span_problem(text: &str, span: &str, writer: Writer) -> Option<String> {
    let table = &*TABLE;
    if let Some(words) = span.strip_prefix("countersign ") {
        let is_elsewhere = [" there", "on the machine of the site"];
        let is_elsewhere = is_elsewhere.iter().any(|place| text.contains(place));
        let mut lines = table.entries().filter_map(Entry::command_line);
        let is_operation = lines.any(|line| begins_with(words, &line));
        let is_misnamed = writer == Writer::Core && is_operation && !is_elsewhere;
        let misnamed = || "name the operation of this site, or say who runs it `there`".to_owned();
        return problem(words).or_else(|| is_misnamed.then(misnamed));
    }
    let (first, rest) = span.split_once(' ')?;
    let is_group = table.entries().any(|entry| entry.group() == first);
    let is_noun = Cli::command().find_subcommand(first).is_some();
    if !is_group && !is_noun {
        return None;
    }
    if writer == Writer::CommandLine {
        return Some("write `countersign …`".to_owned());
    }
    let operation = rest.split(' ').next().unwrap_or_default();
    if table.find(first, operation).is_none() {
        return Some("there is no such operation".to_owned());
    }
    // It is typed as it stands, so that it needs its arguments.
    error_in(&words(span)?, false)
}

/// Hints named commands that do not exist: `key add` is `service key add` on the command line, and
/// `app update` has no `--edition`.
#[test]
fn every_command_that_a_text_names_exists() {
    let mut commands = 0;
    let mut problems = Vec::new();
    for name in CRATES {
        let writer = match name {
            "client" | "countersign" => Writer::CommandLine,
            "core" => Writer::Core,
            _ => Writer::Other,
        };
        for (path, text) in texts(name) {
            for span in text.split('`').skip(1).step_by(2) {
                let problem = match path.ends_with(HELP) {
                    true => span
                        .contains(' ')
                        .then(|| problem(span))
                        .flatten()
                        .filter(|_| span != "head -1"),
                    false => span_problem(&text, span, writer),
                };
                commands += usize::from(span.starts_with("countersign "));
                problems.extend(
                    problem.map(|problem| format!("{}: `{span}`: {problem}", path.display())),
                );
            }
            // Without backticks: a line to be typed.
            let is_command = |line: &&str| line.starts_with("countersign ") && !line.contains('/');
            for line in text
                .lines()
                .map(str::trim)
                .filter(is_command)
                .filter(|_| name == "countersign")
            {
                problems.extend(
                    problem(&line["countersign ".len()..])
                        .map(|problem| format!("{line}: {problem}")),
                );
            }
        }
    }
    assert!(commands > 20, "{commands} commands were found");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The console offered `countersign peer join` to be copied, which the program refuses without `--for`. Its
/// texts name commands; what stands anywhere else is copied as it is.
#[test]
fn every_command_of_the_console_is_accepted() {
    let folder = format!("{}/../../console/src", env!("CARGO_MANIFEST_DIR"));
    let mut counts = [0, 0];
    let mut problems = Vec::new();
    for (path, source) in sources(folder, &["ts", "tsx"]) {
        let is_text = path.components().any(|part| part.as_os_str() == "text");
        for command in commands_of_console(&source) {
            counts[usize::from(is_text)] += 1;
            let problem = match &command {
                Ok(command) => error_in(&command["countersign ".len()..], is_text),
                Err(_) => Some("write it between backticks".to_owned()),
            };
            let (Ok(command) | Err(command)) = command;
            let shown = |problem| format!("{}: `{command}`: {problem}", path.display());
            problems.extend(problem.map(shown));
        }
    }
    assert!(counts[0] > 7 && counts[1] > 10, "{counts:?} were found");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn commands_of_the_console_are_found() {
    let source = "/** `countersign dev` */\nf(`countersign enrol --id ${a.b} --x`, \"See `countersign doctor`.\",\n\
        \"countersign site key new\", \"Run countersign doctor.\");";
    let found: Vec<_> = commands_of_console(source);
    let ok = |command: &str| Ok(command.to_owned());
    let unquoted = Err("countersign doctor.\");".to_owned());
    let expected = [
        ok("countersign enrol --id NAME --x"),
        ok("countersign doctor"),
        ok("countersign site key new"),
        unquoted,
    ];
    assert_eq!(found, expected);
}

#[test]
fn every_command_line_of_an_operation_exists() {
    for entry in TABLE.entries() {
        if let Some(words) = entry.command_line() {
            assert_eq!(problem(&words), None, "{}", entry.name());
        }
    }
}

/// A hint omitted `--data`, so the command went to another site.
#[test]
fn a_hint_is_for_the_site_in_the_folder() {
    let outcome = |output: &str, hint: &str| {
        let data = serde_json::json!({ "code": "x", "message": "m", "hint": hint });
        let data = serde_json::value::to_raw_value(&data).unwrap();
        Outcome {
            id: 1,
            code: Code::CONFLICT,
            output: output.to_owned(),
            data,
        }
    };
    let shown = |output, hint, folder: &str| {
        let outcome = of_commands(outcome(output, hint), Path::new(folder));
        let data: Value = serde_json::from_str(outcome.data.get()).unwrap();
        (outcome.output, data["hint"].as_str().unwrap().to_owned())
    };
    let (output, hint) = shown(
        "Use `key add`.",
        "see `site key_slots`, not `x y`",
        "./site",
    );
    assert_eq!(output, "Use `countersign service key add`.");
    assert_eq!(hint, "see `countersign site key slots list`, not `x y`");
    let (output, hint) = shown(
        "`countersign key new --out FILE`",
        "`option list`",
        "my site",
    );
    assert_eq!(output, "`countersign key new --out FILE`");
    assert_eq!(hint, "`countersign option list --data 'my site'`");
    assert_eq!(in_folder(&hint, Path::new("other")), hint);
}

/// Advice for the operator of a peer named the folder of this site, so that the command asked the wrong one of
/// two sites on a machine. Advice for this site named commands without their arguments.
#[test]
fn advice_is_for_the_right_site_and_has_its_arguments() {
    let shown = |text| commands_in(text, Path::new("a"));
    assert_eq!(
        shown("`peer resume b.example` once the reason is gone"),
        "`countersign peer resume b.example --data a` once the reason is gone"
    );
    assert_eq!(
        shown("`key add mailer --public-key FILE`, `site key_slot_remove 3`"),
        "`countersign service key add mailer --public-key FILE --data a`, \
         `countersign site key slots remove 3 --data a`"
    );
    let elsewhere = "ask its operator to run `countersign peer doctor` there";
    assert_eq!(shown(elsewhere), elsewhere);
    let data = serde_json::json!({ "code": "x", "message": "m", "hint": elsewhere });
    let refused = Outcome {
        id: 1,
        code: Code::CONFLICT,
        output: String::new(),
        data: serde_json::value::to_raw_value(&data).unwrap(),
    };
    let failure = Failure::outcome(&refused).in_folder(Path::new("a"));
    assert_eq!(failure.hint, elsewhere);
    let own = failure
        .hint("`countersign site status`")
        .in_folder(Path::new("a"));
    assert_eq!(own.hint, "`countersign site status --data a`");
    assert_eq!(
        in_folder("`countersign peer doctor`", Path::new("a")),
        "`countersign peer doctor --data a`"
    );
}

/// A user of `call` and `shell` types operations, and read arguments of the command line.
#[test]
fn a_user_who_types_operations_reads_parameters() {
    let rows = [
        ("peer list", "peer list"),
        ("peer resume b.example", "peer resume peer=b.example"),
        ("person enable maria", "person enable name=maria"),
        ("alarm over 'disk low'", "alarm over key='disk low'"),
        (
            "lockdown lift peer b.example",
            "lockdown lift peer=b.example",
        ),
        ("lockdown lift service robot", "lockdown lift service=robot"),
        ("audit verify --peers", "audit verify peers:=true"),
        (
            "audit list --operation person",
            "audit list operation=person",
        ),
        (
            "ticket issue zoe --kind passphrase",
            "ticket issue person=zoe kind=passphrase",
        ),
        (
            "peer permit b.example messages",
            "peer permit peer=b.example allows:='[\"messages\"]'",
        ),
        ("option disable NAME", "option disable name=NAME"),
        // The admin socket alone takes these, and the arguments of those are no parameters.
        ("site unseal", "countersign site unseal"),
        ("site backup FILE", "countersign backup create FILE"),
        (
            "site key_slot_remove 3",
            "countersign site key slots remove 3",
        ),
        ("lockdown lift site", "countersign lockdown lift site"),
        (
            "key add mailer --public-key FILE",
            "countersign service key add mailer --public-key FILE",
        ),
        (
            "app update ID --allow OTHER",
            "countersign app update ID --allow OTHER",
        ),
        (
            "self passphrase_start --as NAME",
            "countersign passphrase change --as NAME",
        ),
        (
            "person passphrase_start NAME",
            "countersign person passphrase NAME",
        ),
        // No command runs this one, and these are no operations.
        ("peer deliver", "peer deliver"),
        ("countersign peer list", "countersign peer list"),
        ("x y", "x y"),
    ];
    for (written, read) in rows {
        assert_eq!(
            typed(&format!("see `{written}`, x"), &Cli::command()),
            format!("see `{read}`, x")
        );
    }
}

/// Alarms named commands where refusals name operations. A message said "with `peer inbox`", which is no
/// command.
#[test]
fn the_text_of_an_alarm_has_commands_where_a_person_reads_it() {
    let text = "Read it with `peer inbox bob`.";
    let read = "Read it with `countersign peer inbox bob`.";
    assert_eq!(commands(text), read);
    assert_eq!(TABLE.in_commands(text), read);
    // An alarm that was stored before names a command, which stays.
    assert_eq!(commands(read), read);
}

#[test]
fn texts_are_read_as_the_compiler_reads_them() {
    let source = "// \"no\"\nlet x = \"a \\\"b\\\" \\\n    c\"; f('\"', \"d\\ne\");";
    assert_eq!(literals(source), ["a \"b\" c", "d\ne"]);
}
