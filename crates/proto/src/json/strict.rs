//! One JSON form for each value. The derived readers of serde accept two forms that no writer
//! writes: an array of the values of a struct's members, and an object `{"idle":null}` for the
//! string `"idle"` of an enum. Another implementation would refuse them.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

/// A deserializer that reads a struct from an object only, and a variant without data from a string
/// only, at every depth.
///
/// It does not see into the buffers of the derived readers of untagged and internally tagged enums.
#[derive(Debug)]
pub struct Strict<T>(T);

/// The visitor of a struct.
struct Object<V>(V);

/// The visitor of an enum.
struct Choice<V>(V);

/// The variant of an enum in an object: its name and its data.
struct Variant<A>(A);

/// The data of a variant that is like a tuple, and of one that is like a struct.
struct TupleSeed<V>(usize, V);
struct StructSeed<V>(&'static [&'static str], V);

impl<T> Strict<T> {
    /// Reads strictly from this deserializer.
    pub const fn new(source: T) -> Self {
        Self(source)
    }
}

/// Methods without a value that could contain a struct or an enum.
macro_rules! plain {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(visitor)
        })*
    };
}

/// Methods of which a value is read strictly.
macro_rules! nested {
    ($($method:ident($($name:ident: $type:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(
            self,
            $($name: $type,)*
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            self.0.$method($($name,)* Strict(visitor))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    plain! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_identifier deserialize_ignored_any
    }

    nested! {
        deserialize_any()
        deserialize_option()
        deserialize_seq()
        deserialize_map()
        deserialize_newtype_struct(name: &'static str)
        deserialize_unit_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, Object(visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(Choice(visitor))
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Object<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Strict(members))
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Choice<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<V::Value, E> {
        self.0.visit_enum(StrDeserializer::new(name))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Variant(members))
    }
}

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for Variant<A> {
    type Error = A::Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(
        mut self,
        seed: S,
    ) -> Result<(S::Value, Self), A::Error> {
        match self.0.next_key_seed(seed)? {
            Some(name) => Ok((name, self)),
            None => Err(A::Error::custom("the object is empty")),
        }
    }
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for Variant<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        Err(A::Error::invalid_type(Unexpected::Map, &"a string"))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        mut self,
        seed: S,
    ) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Strict(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(
        mut self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(TupleSeed(len, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(StructSeed(fields, visitor))
    }
}

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for TupleSeed<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        Strict(from).deserialize_tuple(self.0, self.1)
    }
}

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for StructSeed<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        Strict(from).deserialize_struct("", self.0, self.1)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Strict(from))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

/// Methods of a visitor that get a value without parts.
macro_rules! whole {
    ($($method:ident($type:ty))*) => {
        $(fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.0.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<V> {
    type Value = V::Value;

    whole! {
        visit_bool(bool) visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128)
        visit_u8(u8) visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_u128(u128)
        visit_f32(f32) visit_f64(f64) visit_char(char) visit_str(&str)
        visit_borrowed_str(&'de str) visit_string(String) visit_bytes(&[u8])
        visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Strict(from))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Strict(from))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Strict(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Strict(members))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(variant)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    use crate::json;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Whole {
        part: Option<Part>,
        list: Vec<Part>,
        word: Word,
        data: Data,
        tuple: (u8, Part),
        map: std::collections::BTreeMap<String, Word>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Part {
        number: Newtype,
        text: String,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Newtype(u64);

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        First,
        Second,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Data {
        Nothing,
        Part(Part),
        Pair(Word, Part),
        Members { word: Word, part: Part },
    }

    fn part() -> impl Strategy<Value = Part> {
        (any::<u64>(), any::<String>()).prop_map(|(number, text)| Part {
            number: Newtype(number),
            text,
        })
    }

    fn word() -> impl Strategy<Value = Word> {
        prop_oneof![Just(Word::First), Just(Word::Second)]
    }

    fn whole() -> impl Strategy<Value = Whole> {
        let data = prop_oneof![
            Just(Data::Nothing),
            part().prop_map(Data::Part),
            (word(), part()).prop_map(|(word, part)| Data::Pair(word, part)),
            (word(), part()).prop_map(|(word, part)| Data::Members { word, part }),
        ];
        let map = prop::collection::btree_map(any::<String>(), word(), 0..3);
        let list = prop::collection::vec(part(), 0..3);
        let tuple = (any::<u8>(), part());
        (prop::option::of(part()), list, word(), data, tuple, map).prop_map(
            |(part, list, word, data, tuple, map)| Whole {
                part,
                list,
                word,
                data,
                tuple,
                map,
            },
        )
    }

    /// Replaces each part in turn: an object by the array of its values in the order of the struct,
    /// and a word by an object.
    fn other_forms(value: &Value) -> Vec<Value> {
        let mut forms = Vec::new();
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    for form in other_forms(member) {
                        let mut changed = members.clone();
                        changed.insert(name.clone(), form);
                        forms.push(changed.into());
                    }
                }
                if let (Some(number), Some(text)) = (members.get("number"), members.get("text")) {
                    forms.push(json!([number, text]));
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    for form in other_forms(item) {
                        let mut changed = items.clone();
                        changed[at] = form;
                        forms.push(changed.into());
                    }
                }
            }
            Value::String(word) if ["first", "second", "nothing"].contains(&word.as_str()) => {
                forms.push(json!({ word: null }));
            }
            _ => {}
        }
        forms
    }

    proptest! {
        /// `{"end":{"idle":null}}` was read as `{"end":"idle"}`, and an array of the values of the
        /// members as the parameters of an operation.
        #[test]
        fn a_value_has_one_form(whole in whole()) {
            let value = serde_json::to_value(&whole).unwrap();
            let text = value.to_string();
            prop_assert_eq!(json::read::<Whole>(text.as_bytes()).unwrap(), whole);
            for form in other_forms(&value) {
                let text = form.to_string();
                prop_assert!(serde_json::from_str::<Whole>(&text).is_ok(), "{}", text);
                prop_assert!(json::read::<Whole>(text.as_bytes()).is_err(), "{}", text);
            }
        }
    }

    #[test]
    fn a_refusal_says_what_was_expected() {
        for (text, expected) in [
            ("[1,\"a\"]", "expected an object"),
            ("7", "expected an object"),
            ("{\"number\":1,\"text\":\"a\"} {}", "trailing characters"),
        ] {
            let refused = json::read::<Part>(text.as_bytes()).unwrap_err().to_string();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
        for (text, expected) in [
            ("{\"nothing\":null}", "expected a string"),
            ("{\"part\":[1,\"a\"]}", "expected an object"),
            (
                "{\"pair\":[{\"first\":null},{\"number\":1,\"text\":\"a\"}]}",
                "expected a string",
            ),
            ("{\"members\":[\"first\",{}]}", "expected an object"),
            (
                "{\"part\":{\"number\":1,\"text\":\"a\"},\"nothing\":null}",
                "trailing",
            ),
            ("{}", "empty"),
            ("\"part\"", "newtype variant"),
            ("7", "enum Data"),
        ] {
            let refused = json::read::<Data>(text.as_bytes()).unwrap_err().to_string();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
    }
}
