//! The comments that belong to a test: the comment lines directly above the test function, also if
//! attributes stand between them, and the comments in its body. The comment at the top of a file
//! belongs to no test.

use crate::tree::File;

/// The comment lines that belong to the tests of this file.
pub(crate) fn comments_of_tests(file: &File) -> Vec<&str> {
    if !file.is("rs") {
        return Vec::new();
    }
    let mut reader = Reader::default();
    for line in file.text.lines() {
        reader.read(line);
    }
    reader.found
}

#[derive(Default)]
struct Reader<'a> {
    found: Vec<&'a str>,
    /// The comments directly above the next line.
    above: Vec<&'a str>,
    /// Whether one of the attributes above the next line makes it a test.
    is_test: bool,
    /// The number of brackets of an attribute that are still open.
    open: usize,
    /// The indentation of the test that is being read, in bytes.
    inside: Option<usize>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, line: &'a str) {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if let Some(depth) = self.inside {
            self.found
                .extend(text.find("//").and_then(|at| text.get(at..)));
            if indent == depth && text.starts_with('}') {
                self.inside = None;
            }
        } else if self.open > 0 || text.starts_with("#[") {
            self.is_test |= makes_a_test(text);
            self.open =
                (self.open + text.matches('[').count()).saturating_sub(text.matches(']').count());
        } else if text.starts_with("//") && !text.starts_with("//!") {
            self.above.push(text);
        } else {
            if self.is_test && is_function(text) {
                self.found.append(&mut self.above);
                self.inside = (!text.trim_end().ends_with('}')).then_some(indent);
            }
            self.above.clear();
            self.is_test = false;
        }
    }
}

/// Whether this is `#[test]` or that of another harness, such as `#[tokio::test(…)]`.
fn makes_a_test(attribute: &str) -> bool {
    let path = attribute.trim_start_matches("#[");
    let path = path.split(['(', ']']).next().unwrap_or_default();
    path == "test" || path.ends_with("::test")
}

fn is_function(text: &str) -> bool {
    text.split_whitespace()
        .take_while(|word| !word.contains('('))
        .any(|word| word == "fn")
}

#[test]
fn comments_above_a_test_and_in_its_body_belong_to_it() {
    let file = File::new(
        "a.rs",
        "//! no: the file's\n\
         // no: nothing's\n\
         \n\
         /// yes: above\n\
         #[tokio::test(flavor = \"multi_thread\")]\n\
         // yes: between\n\
         #[cfg_attr(\n    unix,\n    doc = \"[why]\"\n)]\n\
         pub async fn a() {\n    if true {\n        // yes: inside\n    }\n    b(); // yes: behind\n}\n\
         /// no: a function's\n\
         fn b() {\n    // no: inside it\n}\n\
         // no: not directly above\n\
         const C: u8 = 1;\n\
         #[test]\n\
         fn d() {}\n\
         // no: after a test\n",
    );
    let found = comments_of_tests(&file);
    assert_eq!(
        found,
        [
            "/// yes: above",
            "// yes: between",
            "// yes: inside",
            "// yes: behind"
        ]
    );
}

#[test]
fn tests_in_macros_are_found_and_other_files_have_none() {
    let file = File::new(
        "a.rs",
        "proptest! {\n    /// yes\n    #[test]\n    fn a(b in any::<u8>()) {\n        // yes\n    }\n    // no\n}\n",
    );
    assert_eq!(comments_of_tests(&file).len(), 2);
    let other = File::new("a.toml", "# DEMO-1\n");
    assert!(comments_of_tests(&other).is_empty());
}
