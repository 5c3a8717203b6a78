//! The top-level modules of a crate depend on each other without cycles, so that a reader can take
//! them in order.
//!
//! The check reads the paths `crate::…` and `crate::{…}` in `src`, outside of tests and comments.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{self, File, Finding, assert_none};

/// The modules of one crate: the modules that each names, and the first place where it does.
type Graph<'a> = BTreeMap<&'a str, BTreeMap<&'a str, (&'a File, usize)>>;

/// A file's crate and top-level module: of `crates/server/src/http/mod.rs`, `server` and `http`.
fn place(path: &str) -> Option<(&str, &str)> {
    let (of, module) = path.strip_prefix("crates/")?.split_once("/src/")?;
    let module = module.split('/').next()?;
    let module = module.strip_suffix(".rs").unwrap_or(module);
    (!["lib", "main", "bin"].contains(&module)).then_some((of, module))
}

/// The modules that the paths `crate::…` name, with their lines, up to the tests of the file.
fn named(file: &File) -> Vec<(usize, &str)> {
    const ROOT: &str = "crate::";
    let mut found = Vec::new();
    if file.path.ends_with("/tests.rs") || file.path.contains("/tests/") {
        return found;
    }
    let text = &file.text;
    let begins_a_line = |at: &usize| {
        let before = text.get(..*at).unwrap_or_default();
        before.is_empty() || before.ends_with('\n')
    };
    let mut tests = text.match_indices("#[cfg(test)]").map(|(at, _)| at);
    let end = tests.find(begins_a_line).unwrap_or(text.len());
    let code = text.get(..end).unwrap_or_default();
    for (at, _) in code.match_indices(ROOT) {
        let (before, paths) = code.split_at(at);
        let line = before.rsplit('\n').next().unwrap_or_default();
        if line.trim_start().starts_with("//") {
            continue;
        }
        let paths = paths.trim_start_matches(ROOT);
        for start in starts(paths) {
            let (_, path) = paths.split_at(start);
            let path = path.trim_start();
            let name = path.split(|c: char| !c.is_alphanumeric() && c != '_');
            let name = name.take(1).filter(|name| !name.is_empty());
            let (before, _) = code.split_at(code.len() - path.len());
            let line = before.matches('\n').count() + 1;
            found.extend(name.map(|name| (line, name)));
        }
    }
    found
}

/// The offsets of the paths after `crate::`: one, or one for each entry of a list in braces.
fn starts(paths: &str) -> Vec<usize> {
    if !paths.starts_with('{') {
        return vec![0];
    }
    let (mut starts, mut depth) = (Vec::new(), 0);
    for (at, character) in paths.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' => {}
            _ => continue,
        }
        match (depth, character) {
            (0, _) => break,
            (1, '{' | ',') => starts.push(at + 1),
            _ => {}
        }
    }
    starts
}

fn graphs(files: &[File]) -> BTreeMap<&str, Graph<'_>> {
    let mut graphs: BTreeMap<&str, Graph<'_>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.is("rs")) {
        let Some((of, module)) = place(&file.path) else {
            continue;
        };
        let names = graphs.entry(of).or_default().entry(module).or_default();
        for (line, name) in named(file).into_iter().filter(|(_, name)| *name != module) {
            names.entry(name).or_insert((file, line));
        }
    }
    graphs
}

/// The modules that a module depends on, directly or through others.
fn reached<'a>(graph: &Graph<'a>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = vec![from];
    while let Some(module) = next.pop() {
        for named in graph.get(module).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(*named) {
                next.push(named);
            }
        }
    }
    reached
}

/// Each dependency of one module on another that depends on the first.
fn cycles(files: &[File]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (of, graph) in graphs(files) {
        for (module, names) in &graph {
            for (named, (file, line)) in names {
                if reached(&graph, named).contains(module) {
                    let problem =
                        format!("{of}: `{module}` names `{named}`, which depends on `{module}`");
                    found.push(file.finding(*line, problem));
                }
            }
        }
    }
    found
}

#[test]
fn the_modules_of_a_crate_depend_on_each_other_without_cycles() {
    assert_none(cycles(&tree::files()));
}

#[test]
fn a_cycle_is_found_at_the_lines_of_its_dependencies() {
    let files = [
        File::new("crates/a/src/lib.rs", "use crate::b::B;\n"),
        File::new(
            "crates/a/src/b.rs",
            "// crate::none\nuse crate::c::C;\nuse crate::e::E;\n",
        ),
        File::new("crates/a/src/c/mod.rs", "use crate::c::f::F;\n"),
        File::new("crates/a/src/c/f.rs", "fn f(b: crate::d::D) {}\n"),
        File::new(
            "crates/a/src/d.rs",
            "\nuse crate::{\n    e::{E, f::b},\n    b::B,\n};\n",
        ),
        File::new(
            "crates/a/src/e.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::b::B;\n}\n",
        ),
        File::new("crates/a/src/e/tests.rs", "use crate::b::B;\n"),
    ];
    let found: Vec<(String, usize)> = cycles(&files)
        .into_iter()
        .map(|finding| (finding.file, finding.line))
        .collect();
    let at = |file: &str, line| (format!("crates/a/src/{file}"), line);
    assert_eq!(found, [at("b.rs", 2), at("c/f.rs", 1), at("d.rs", 4)]);
}
