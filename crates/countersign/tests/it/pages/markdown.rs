//! Parses the fenced blocks of a page and the commands in them.

/// The start of the comment in the line before a block that is not run. The reason follows.
const NOT_RUN: &str = "<!-- not run by tests: ";

/// A fenced block of a page.
pub(crate) struct Block<'a> {
    pub(crate) language: &'a str,
    pub(crate) lines: Vec<&'a str>,
    /// Why the block is not run.
    pub(crate) not_run: Option<&'a str>,
}

/// A command of a page and the output that the page shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step<'a> {
    pub(crate) command: &'a str,
    pub(crate) shown: Vec<&'a str>,
}

pub(crate) fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut before = "";
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let not_run = before.strip_prefix(NOT_RUN);
            blocks.push(Block {
                language,
                lines: lines
                    .by_ref()
                    .take_while(|line| line.trim() != "```")
                    .collect(),
                not_run: not_run.map(|reason| reason.trim_end_matches(" -->")),
            });
        }
        before = line;
    }
    blocks
}

impl<'a> Block<'a> {
    /// The commands of the block: in `console` the lines with `$`, in `sh` every line.
    pub(crate) fn steps(&self) -> Vec<Step<'a>> {
        let mut steps: Vec<Step<'_>> = Vec::new();
        for line in &self.lines {
            let command = match self.language {
                "sh" => Some(*line).filter(|line| !line.is_empty() && !line.starts_with('#')),
                _ => line.strip_prefix("$ "),
            };
            match (command, steps.last_mut()) {
                (Some(command), _) => steps.push(Step {
                    command,
                    shown: Vec::new(),
                }),
                (None, Some(step)) if self.language == "console" => step.shown.push(line),
                (None, _) => {}
            }
        }
        steps
    }
}

#[test]
fn a_block_has_commands_with_output_or_a_reason() {
    let page = "# x\n```console\n$ a b\nshown\n\n$ c\n```\n<!-- not run by tests: a browser -->\n```sh\nd  # why\n```\n";
    let blocks = blocks(page);
    let reasons = blocks.iter().map(|block| block.not_run);
    assert_eq!(reasons.collect::<Vec<_>>(), [None, Some("a browser")]);
    let step = |command, shown: &[&'static str]| Step {
        command,
        shown: shown.to_vec(),
    };
    let steps = blocks.iter().flat_map(Block::steps);
    let expected = [
        step("a b", &["shown", ""]),
        step("c", &[]),
        step("d  # why", &[]),
    ];
    assert_eq!(steps.collect::<Vec<_>>(), expected);
}
