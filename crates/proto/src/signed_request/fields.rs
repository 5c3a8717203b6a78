//! The structured fields of a signature (RFC 9651), read without a copy of what a request does not need.
//!
//! Of members with the same label, and of parameters with the same name, the last one counts.

use std::borrow::Cow;
use std::convert::Infallible;

use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor,
};
use sfv::{BareItemFromInput, ItemSerializer, KeyRef, Parser, StringRef};

use super::MAX_COMPONENTS;
use crate::broker::v2::signature::FIELD;

/// The maximum number of parameters of a signature: RFC 9421 has six.
const MAX_PARAMETERS: usize = 16;
/// The room for the value of `@signature-params`: more than most requests need.
const WRITTEN: usize = 320;

/// A member of `signature-input`: the components that a signature covers, and its parameters.
pub(super) struct Input<'a> {
    pub(super) label: &'a KeyRef,
    components: Vec<Cow<'a, StringRef>>,
    parameters: Vec<(&'a KeyRef, BareItemFromInput<'a>)>,
    /// Whether it has too much, or a component that is no string or has parameters.
    is_wrong: bool,
}

impl<'a> Input<'a> {
    /// Reads the one member of the field `signature-input` whose tag this is; `None` if there is none or another one,
    /// or the field is malformed.
    pub(super) fn read(field: &'a str, tag: &str) -> Option<Self> {
        let inputs = Inputs {
            tag,
            own: Vec::new(),
        };
        let mut own = dictionary(field, inputs)?;
        let input = own.pop()?;
        (own.is_empty() && !input.is_wrong).then_some(input)
    }

    pub(super) fn components(&self) -> impl Iterator<Item = &str> {
        self.components.iter().map(|name| name.as_str())
    }

    fn parameter(&self, name: &str) -> Option<&BareItemFromInput<'a>> {
        let mut parameters = self.parameters.iter();
        let found = parameters.find(|(key, _)| key.as_str() == name);
        found.map(|(_, value)| value)
    }

    /// The value of a parameter that is a string.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.parameter(name)? {
            BareItemFromInput::String(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// The value of a parameter that is an integer.
    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        match self.parameter(name)? {
            BareItemFromInput::Integer(number) => Some((*number).into()),
            _ => None,
        }
    }

    /// The components with the parameters, serialised strictly, in the order of the field.
    pub(super) fn written(&self) -> String {
        let mut written = String::with_capacity(WRITTEN);
        let mut before = '(';
        for component in self.components() {
            written.push(before);
            write_string(component, &mut written);
            before = ' ';
        }
        if self.components.is_empty() {
            written.push(before);
        }
        written.push(')');
        for (name, value) in &self.parameters {
            written.extend([";", name.as_str()]);
            match value {
                BareItemFromInput::Boolean(true) => {}
                BareItemFromInput::String(text) => {
                    written.push('=');
                    write_string(text.as_str(), &mut written);
                }
                value => {
                    written.push('=');
                    let item = ItemSerializer::with_buffer(&mut written);
                    let _ = item.bare_item(value).finish();
                }
            }
        }
        written
    }
}

/// Reads the bytes with this label from the field `signature`.
pub(super) fn signature(field: &str, label: &KeyRef) -> Option<Vec<u8>> {
    let bytes = None;
    dictionary(field, Labelled { label, bytes })?
}

fn dictionary<'a, V: DictionaryVisitor<'a>>(field: &'a str, visitor: V) -> Option<V::Out> {
    let parser = (field.len() <= FIELD).then(|| Parser::new(field))?;
    parser.parse_dictionary_with_visitor(visitor).ok()
}

/// RFC 9651, section 4.1.6.
fn write_string(text: &str, to: &mut String) {
    to.push('"');
    for piece in text.split_inclusive(['"', '\\']) {
        match piece.strip_suffix(['"', '\\']) {
            None => to.push_str(piece),
            Some(plain) => {
                let (_, escaped) = piece.split_at(plain.len());
                to.extend([plain, "\\", escaped]);
            }
        }
    }
    to.push('"');
}

/// The members of `signature-input` with a tag.
struct Inputs<'a, 't> {
    tag: &'t str,
    own: Vec<Input<'a>>,
}

impl<'a> DictionaryVisitor<'a> for Inputs<'a, '_> {
    type Out = Vec<Input<'a>>;
    type Error = Infallible;

    fn entry(&mut self, label: &'a KeyRef) -> Result<impl EntryVisitor<'a>, Infallible> {
        self.own.retain(|input| input.label != label);
        let input = Input {
            label,
            components: Vec::new(),
            parameters: Vec::new(),
            is_wrong: false,
        };
        Ok(Member(self, input))
    }

    fn finish(self) -> Result<Self::Out, Infallible> {
        Ok(self.own)
    }
}

/// A member that is read.
struct Member<'v, 'a, 't>(&'v mut Inputs<'a, 't>, Input<'a>);

impl<'a> EntryVisitor<'a> for Member<'_, 'a, '_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'a>, Infallible> {
        Ok(Ignored)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'a>, Infallible> {
        Ok(self)
    }
}

impl<'a> InnerListVisitor<'a> for Member<'_, 'a, '_> {
    type Error = Infallible;

    fn item(&mut self) -> Result<impl ItemVisitor<'a>, Infallible> {
        Ok(Component(&mut self.1))
    }

    fn finish(self) -> Result<impl ParameterVisitor<'a>, Infallible> {
        Ok(self)
    }
}

impl<'a> ParameterVisitor<'a> for Member<'_, 'a, '_> {
    type Out = ();
    type Error = Infallible;

    fn parameter(
        &mut self,
        name: &'a KeyRef,
        value: BareItemFromInput<'a>,
    ) -> Result<(), Infallible> {
        let parameters = &mut self.1.parameters;
        if let Some(earlier) = parameters.iter_mut().find(|(known, _)| *known == name) {
            earlier.1 = value;
        } else if parameters.len() < MAX_PARAMETERS {
            parameters.push((name, value));
        } else {
            self.1.is_wrong = true;
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Infallible> {
        let Self(inputs, input) = self;
        if input.text("tag") == Some(inputs.tag) {
            inputs.own.push(input);
        }
        Ok(())
    }
}

/// A component, and then its parameters.
struct Component<'v, 'a>(&'v mut Input<'a>);

impl<'a> ItemVisitor<'a> for Component<'_, 'a> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        name: BareItemFromInput<'a>,
    ) -> Result<impl ParameterVisitor<'a, Out = ()>, Infallible> {
        match name {
            BareItemFromInput::String(name) if self.0.components.len() < MAX_COMPONENTS => {
                self.0.components.push(name);
            }
            _ => self.0.is_wrong = true,
        }
        Ok(self)
    }
}

impl<'a> ParameterVisitor<'a> for Component<'_, 'a> {
    type Out = ();
    type Error = Infallible;

    fn parameter(&mut self, _: &'a KeyRef, _: BareItemFromInput<'a>) -> Result<(), Infallible> {
        self.0.is_wrong = true;
        Ok(())
    }

    fn finish(self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The bytes with a label.
struct Labelled<'l> {
    label: &'l KeyRef,
    bytes: Option<Vec<u8>>,
}

impl<'a> DictionaryVisitor<'a> for Labelled<'_> {
    type Out = Option<Vec<u8>>;
    type Error = Infallible;

    fn entry(&mut self, label: &'a KeyRef) -> Result<impl EntryVisitor<'a>, Infallible> {
        let is_own = self.label == label;
        if is_own {
            self.bytes = None;
        }
        Ok(is_own.then_some(Bytes(&mut self.bytes)))
    }

    fn finish(self) -> Result<Self::Out, Infallible> {
        Ok(self.bytes)
    }
}

struct Bytes<'v>(&'v mut Option<Vec<u8>>);

impl<'a> EntryVisitor<'a> for Bytes<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'a>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'a>, Infallible> {
        Ok(Ignored)
    }
}

impl<'a> ItemVisitor<'a> for Bytes<'_> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        value: BareItemFromInput<'a>,
    ) -> Result<impl ParameterVisitor<'a, Out = ()>, Infallible> {
        if let BareItemFromInput::ByteSequence(bytes) = value {
            *self.0 = Some(bytes);
        }
        Ok(Ignored)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sfv::{Dictionary, ListEntry};

    use super::*;
    use crate::broker::v2::signature;

    fn read(field: &str) -> Option<Input<'_>> {
        Input::read(field, "t")
    }

    #[test]
    fn the_member_with_the_tag_is_read_and_written_strictly() {
        let field = "a=(\"x\");tag=\"u\", b=(  \"y\"   \"z\\\"\\\\\");created=007;tag=\"t\";  f;g=?0;n=1.50;k=*a;b=:AAA=:,c";
        let input = read(field).unwrap();
        assert_eq!(input.label.as_str(), "b");
        assert_eq!(input.components().collect::<Vec<_>>(), ["y", "z\"\\"]);
        assert_eq!(input.integer("created"), Some(7));
        assert_eq!(
            (input.text("tag"), input.text("created")),
            (Some("t"), None)
        );
        let written = "(\"y\" \"z\\\"\\\\\");created=7;tag=\"t\";f;g=?0;n=1.5;k=*a;b=:AAA=:";
        assert_eq!(input.written(), written);
    }

    #[test]
    fn of_two_members_or_parameters_with_one_name_the_last_one_counts() {
        let last = read("a=(\"x\");tag=\"t\",a=(\"y\");tag=\"u\";tag=\"t\"").unwrap();
        assert_eq!(last.components().collect::<Vec<_>>(), ["y"]);
        assert_eq!(last.written(), "(\"y\");tag=\"t\"");
        assert!(read("a=(\"x\");tag=\"t\",a=1").is_none());
        assert!(read("a=(\"x\");tag=\"t\";tag=\"u\"").is_none());
        assert!(read("a=(\"x\");tag=\"t\",b=(\"x\");tag=\"t\"").is_none());
        let label = sfv::key_ref("a");
        assert_eq!(signature("a=:AAA=:, a=:AQ==:", label), Some(vec![1]));
        for none in [
            "a=:AQ==:,a=1",
            "a=:AQ==:,a=(:AQ==:)",
            "b=:AQ==:",
            "a=:AQ==",
            "",
        ] {
            assert_eq!(signature(none, label), None, "{none}");
        }
    }

    #[test]
    fn a_member_with_too_much_is_none() {
        let with = |components: usize, parameters: usize| {
            let names: Vec<_> = (0..components).map(|at| format!("\"{at}\"")).collect();
            let more: String = (1..parameters).map(|at| format!(";p{at}")).collect();
            let field = format!("a=({});tag=\"t\"{more}", names.join(" "));
            read(&field).is_some()
        };
        assert!(with(0, 1) && with(MAX_COMPONENTS, MAX_PARAMETERS));
        assert!(!with(MAX_COMPONENTS + 1, 1) && !with(1, MAX_PARAMETERS + 1));
        assert!(read("a=(x);tag=\"t\"").is_none() && read("a=(\"x\";y);tag=\"t\"").is_none());
        assert!(read(&format!("a=(\"x\");tag=\"t\"{}", " ".repeat(FIELD))).is_none());
    }

    proptest! {
        /// The reader of whole fields, which copies them, is the other one of this crate.
        #[test]
        fn fields_are_read_and_written_as_whole_fields_are(
            members in proptest::collection::vec("[ab]=\\(( ?\"[x\\\\\"]?\"){0,2}\\)(;[pq]=(\"[y\\\\\"]?\"|-?0?[0-9]|[0-9]\\.50|:AA==:|\\?1|@7|z)){0,3}(;tag=\"t\")?", 0..3),
        ) {
            let field = members.join(",");
            let whole: Option<Dictionary> = Parser::new(&field).parse().ok();
            let mut own: Vec<_> = whole.iter().flatten().filter_map(|(label, entry)| match entry {
                ListEntry::InnerList(list) => {
                    let tag = list.params.get("tag").and_then(|tag| tag.as_string());
                    (tag?.as_str() == "t").then_some((label, list))
                }
                ListEntry::Item(_) => None,
            }).collect();
            let expected = own.pop().filter(|_| own.is_empty());
            let expected = expected.map(|(label, list)| {
                (label.as_str().to_owned(), signature::written(list).unwrap())
            });
            let found = read(&field).map(|input| (input.label.as_str().to_owned(), input.written()));
            prop_assert_eq!(found, expected, "{}", field);
        }
    }
}
