//! No two public types of a crate have one name, so that a name alone says which type is meant.
//!
//! Read line by line from `src`, as rustfmt writes it; what follows `#[cfg(test)]` is not looked
//! at.

use std::collections::BTreeMap;

use crate::tree::{self, File, Finding, assert_none};

const KINDS: [&str; 4] = ["struct", "enum", "trait", "type"];

/// The public types that a file declares, with their lines. An associated type of a trait is not
/// `pub`, and a type in `impl` or in a function cannot be.
fn public_types(file: &File) -> impl Iterator<Item = (usize, &str)> {
    let code = file.lines().take_while(|(_, line)| *line != "#[cfg(test)]");
    code.filter_map(|(number, line)| {
        let declared = line.trim_start().strip_prefix("pub ")?;
        let declared = declared.strip_prefix("unsafe ").unwrap_or(declared);
        let (kind, rest) = declared.split_once(' ')?;
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        let name = rest.get(..end.unwrap_or(rest.len()))?;
        KINDS.contains(&kind).then_some((number, name))
    })
}

/// Each public type whose name another of its crate has, at its line.
fn duplicates(files: &[File]) -> Vec<Finding> {
    let mut declared: BTreeMap<(&str, &str), Vec<(&File, usize)>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.is("rs")) {
        let Some((of, _)) = file.path.split_once("/src/") else {
            continue;
        };
        for (line, name) in public_types(file) {
            declared.entry((of, name)).or_default().push((file, line));
        }
    }
    let mut found = Vec::new();
    for ((_, name), places) in declared {
        for (file, line) in places.iter().filter(|_| places.len() > 1) {
            let others = places
                .iter()
                .filter(|(other, at)| (&other.path, at) != (&file.path, line));
            let others: Vec<String> = others
                .map(|(file, line)| format!("{}:{line}", file.path))
                .collect();
            let problem = format!("`{name}` is also declared in {}", others.join(", "));
            found.push(file.finding(*line, problem));
        }
    }
    found
}

#[test]
fn no_two_public_types_of_a_crate_have_one_name() {
    assert_none(duplicates(&tree::files()));
}

#[test]
fn a_name_that_two_public_types_of_a_crate_have_is_found_in_both_files() {
    let files = [
        File::new("crates/a/src/b.rs", "\npub struct One;\npub enum Two {}\n"),
        File::new(
            "crates/a/src/c/d.rs",
            "pub(crate) struct Two;\nstruct One;\n// pub struct One;\npub type One<T> = Vec<T>;\n\
             pub struct OneMore;\n#[cfg(test)]\npub struct Two;\n",
        ),
        File::new("crates/e/src/b.rs", "pub trait One {}\n"),
        File::new("crates/a/tests/b.rs", "pub trait One {}\n"),
    ];
    let found: Vec<String> = duplicates(&files).iter().map(ToString::to_string).collect();
    let at = |here: &str, there: &str| {
        format!("crates/a/src/{here}: `One` is also declared in crates/a/src/{there}")
    };
    assert_eq!(found, [at("b.rs:2", "c/d.rs:4"), at("c/d.rs:4", "b.rs:2")]);
}
