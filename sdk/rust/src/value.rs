use std::collections::BTreeMap;
use std::iter::FromIterator;
use std::ops::Index;

/// The pairs of an object, in the order of their keys' bytes.
pub type Map = BTreeMap<String, Value>;

/// Any value that an event or a result may hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// null
    Nil,
    /// true or false
    Bool(bool),
    /// An integer that fits.
    Int(i64),
    /// An integer beyond `i64::MAX`; smaller ones are `Int`.
    Uint(u64),
    /// Any other number.
    Float(f64),
    /// Text.
    Str(String),
    /// Bytes.
    Bin(Vec<u8>),
    /// A list.
    Array(Vec<Value>),
    /// An object.
    Map(Map),
}

static NIL: Value = Value::Nil;

impl Value {
    /// Whether it is null, or absent.
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil)
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer, if it is one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer, if it is one and not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::Int(value) if *value >= 0 => Some(*value as u64),
            Value::Uint(value) => Some(*value),
            _ => None,
        }
    }

    /// Any number: JSON does not tell 1 from 1.0.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(value) => Some(*value as f64),
            Value::Uint(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes of binary, or of a text: a body is either.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Str(text) => Some(text.as_bytes()),
            Value::Bin(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The list's items, if it is one.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The object's pairs, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Value::Map(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// The value of a key, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map()?.get(key)
    }
}

/// nil where there is nothing.
impl Index<&str> for Value {
    type Output = Value;

    fn index(&self, key: &str) -> &Value {
        self.get(key).unwrap_or(&NIL)
    }
}

/// nil where there is nothing.
impl Index<usize> for Value {
    type Output = Value;

    fn index(&self, at: usize) -> &Value {
        self.as_array().and_then(|items| items.get(at)).unwrap_or(&NIL)
    }
}

impl Default for Value {
    fn default() -> Value {
        Value::Nil
    }
}

macro_rules! from_integers {
    ($($kind:ty)*) => {$(
        impl From<$kind> for Value {
            fn from(value: $kind) -> Value {
                Value::Int(value as i64)
            }
        }
    )*};
}

from_integers!(i8 i16 i32 i64 isize u8 u16 u32);

impl From<u64> for Value {
    fn from(value: u64) -> Value {
        if value > i64::MAX as u64 {
            Value::Uint(value)
        } else {
            Value::Int(value as i64)
        }
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Value {
        Value::from(value as u64)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Value {
        Value::Float(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Value {
        Value::Float(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Str(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Str(text)
    }
}

/// Binary.
impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value::Bin(bytes)
    }
}

/// Binary.
impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Value {
        Value::Bin(bytes.into())
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Value {
        Value::Array(items)
    }
}

impl From<Map> for Value {
    fn from(pairs: Map) -> Value {
        Value::Map(pairs)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Nil, Into::into)
    }
}

/// A list.
impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Value {
        Value::Array(items.into_iter().map(Into::into).collect())
    }
}

/// An object as a [`Value`](crate::Value): `map! { "hello" => name, "times" => 3 }`.
#[macro_export]
macro_rules! map {
    ($($key:expr => $value:expr),* $(,)?) => {{
        #[allow(unused_mut)]
        let mut pairs = $crate::Map::new();
        $(pairs.insert(::std::string::String::from($key), $crate::Value::from($value));)*
        $crate::Value::Map(pairs)
    }};
}
