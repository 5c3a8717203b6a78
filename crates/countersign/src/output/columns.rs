//! Columns that line up: the cells of a line stand two spaces apart, whatever operation wrote it.

/// Pads the cells of each line to the widest of their column. Text in which some line is a single cell
/// is prose and stays as it is.
pub(super) fn aligned(text: &str) -> String {
    let rows: Vec<Vec<&str>> = text.lines().map(cells).collect();
    if rows.len() < 2 || rows.iter().any(|cells| cells.len() < 2) {
        return text.to_owned();
    }
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|cells| cells.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let lines = rows.iter().map(|cells| line(cells, &widths));
    lines.collect::<Vec<_>>().join("\n")
}

/// The cells of a line. An empty last cell counts: a person without a full name is still a row.
fn cells(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).collect()
}

fn line(cells: &[&str], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(cell);
        let missing = width.saturating_sub(cell.chars().count());
        line.extend(std::iter::repeat_n(' ', missing + 2));
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_a_column_stand_below_each_other() {
        assert_eq!(
            aligned("ada@local  admin  active  Ada L\nzoë@local  member  locked  "),
            "ada@local  admin   active  Ada L\nzoë@local  member  locked"
        );
    }

    #[test]
    fn prose_stays_as_it_is() {
        for prose in ["one line  of two cells", "first\nsecond  with a gap", ""] {
            assert_eq!(aligned(prose), prose);
        }
    }
}
