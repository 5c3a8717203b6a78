//! Pages for operators, run as they stand.

use crate::running::Running;

/// The commands of a page: lines that begin with a prompt, in blocks for a console.
fn commands(page: &str) -> Vec<Vec<&str>> {
    let blocks = page.split("```console\n").skip(1);
    let blocks = blocks.filter_map(|block| block.split("```").next());
    let lines = blocks.flat_map(str::lines);
    let commands = lines.filter_map(|line| line.strip_prefix("$ countersign "));
    commands
        .map(|command| command.split_whitespace().collect())
        .collect()
}

#[test]
fn the_page_on_backups_can_be_followed_word_for_word() {
    let site = Running::new();
    site.write("backup.pass", "a pass phrase for backups");
    let commands = commands(include_str!("../../../../docs/operate/backup.md"));
    assert_eq!(commands.len(), 7);
    for words in commands {
        let said = site.run(&words);
        assert_eq!(said.code, 0, "{words:?}: {}{}", said.out, said.err);
    }
    assert!(site.path("restored/site.db").exists());
}
