//! Tries every row of docs/operate/faults.md: each gives an exit code, and none is omitted.

pub(crate) mod clock;
mod descriptors;
pub(crate) mod disk;
mod streams;

use std::collections::{BTreeMap, BTreeSet};

/// A table of the page: the exit code of each case, and the cases that were tried. A case is one value of
/// each column before "what happens".
struct Table {
    codes: BTreeMap<Vec<String>, i32>,
    tried: BTreeSet<Vec<String>>,
}

impl Table {
    /// The table under that heading. A cell with several values means several cases.
    fn under(heading: &str) -> Self {
        let page = include_str!("../../../../../docs/operate/faults.md");
        let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
        let rows = section.lines().skip_while(|line| !line.starts_with('|'));
        let rows = rows.take_while(|line| line.starts_with('|')).map(cells);
        let mut rows = rows.filter(|row| !row[0].starts_with("---"));
        let columns = rows.next().unwrap();
        let column = |name| columns.iter().position(|column| *column == name).unwrap();
        let (case, code) = (column("what happens"), column("exit code"));
        let mut codes = BTreeMap::new();
        for row in rows {
            assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
            for case in cases(&row[..case]) {
                let before = codes.insert(case, row[code].parse().unwrap());
                assert_eq!(before, None, "{row:?} is there twice");
            }
        }
        Self {
            codes,
            tried: BTreeSet::new(),
        }
    }

    /// Checks the exit code of a case.
    fn ended(&mut self, case: &[&str], code: Option<i32>) {
        let key: Vec<String> = case.iter().map(ToString::to_string).collect();
        let written = self.codes.get(&key);
        assert_eq!(written.copied(), code, "{case:?}");
        self.tried.insert(key);
    }

    /// Checks that every case of the table was tried.
    fn assert_complete(self) {
        let left = self.codes.keys().filter(|case| !self.tried.contains(*case));
        let left: Vec<_> = left.collect();
        assert!(left.is_empty(), "not tried: {left:?}");
    }
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

/// All combinations of one value from each cell.
fn cases(cells: &[&str]) -> Vec<Vec<String>> {
    cells.iter().fold(vec![vec![]], |cases, cell| {
        let longer = |case: Vec<String>| {
            let values = cell.split(", ");
            values.map(move |value| [&case[..], &[value.to_owned()]].concat())
        };
        cases.into_iter().flat_map(longer).collect()
    })
}
