//! Parses JSON from the network: within a memory limit, without the token, and only if no key appears twice.
//!
//! A `serde_json::Value` takes up to ninety times its text (`[{"":0},{"":0},…]`), a key that appears twice
//! means one thing to one reader and another to the next, and `\u0065` hides an `e` of the token from
//! a reader of the bytes.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::token::Token;

/// The memory that the values of one document may take, in bytes, as estimated here. The rules of a cluster
/// administrator, the largest answer that is parsed as a whole, take a tenth of it.
pub const ROOM: usize = 3 * 1024 * 1024;

/// An object takes this, however small: a node of a B-tree.
const OBJECT: usize = 640;

/// A value in a list, with the room that lists keep for more.
const VALUE: usize = 96;

/// Parses a whole document. The error says where it is broken, and in general terms why.
pub fn parse(text: &[u8], token: Option<&Token>) -> Result<Value, serde_json::Error> {
    let room = Cell::new(ROOM);
    let mut parser = serde_json::Deserializer::from_slice(text);
    let value = Sparing { room: &room, token }.deserialize(&mut parser)?;
    parser.end()?;
    Ok(value)
}

/// Reads a value, as far as there is room for it.
#[derive(Clone, Copy)]
pub struct Sparing<'a> {
    /// The memory that is left, in bytes.
    pub room: &'a Cell<usize>,
    /// The token, which is removed from every text.
    pub token: Option<&'a Token>,
}

impl Sparing<'_> {
    fn take<E: Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.room.get().checked_sub(bytes).ok_or_else(|| E::custom("it takes too much memory"))?;
        self.room.set(left);
        Ok(())
    }

    fn text<E: Error>(self, text: &str) -> Result<String, E> {
        self.take(text.len())?;
        Ok(self.token.map_or_else(|| text.to_owned(), |token| token.hidden_in(text).into_owned()))
    }
}

impl<'de> DeserializeSeed<'de> for Sparing<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Sparing<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.text(text).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            self.take(VALUE)?;
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(Value::String(key)) = map.next_key_seed(self)? {
            self.take(if object.is_empty() { OBJECT } else { VALUE })?;
            let value = map.next_value_seed(self)?;
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("a key appears twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        for text in ["null", "true", "-1", "1.5", "\"a\\u0062\"", "[1,[],{}]", r#"{"a":{"b":[null]},"c":""}"#]
        {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(parse(text.as_bytes(), None).unwrap(), value, "{text}");
        }
        for (text, why) in [
            ("", "EOF"),
            ("{} x", "trailing"),
            ("\u{feff}{}", "expected value"),
            (r#"{"a":1,"a":1}"#, "twice"),
            (r#"{"b":[{"a":1,"\u0061":2}]}"#, "twice"),
            (&"[".repeat(100_000), "recursion"),
            (&format!("[{}1]", "{\"\":0},".repeat(10_000)), "memory"),
            (&format!("[{}1]", "[],".repeat(100_000)), "memory"),
            (&format!("\"{}\"", "x".repeat(4 * 1024 * 1024)), "memory"),
        ] {
            let error = parse(text.as_bytes(), None).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
