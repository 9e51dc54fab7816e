use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, Hash};

use crate::value::{Map, Value};

/// Nesting that is read. The host's events are no deeper (abi.md 2).
const DEPTH_MAX: usize = 512;
/// Items that room is made for before any was seen: a head costs its sender five bytes, an item here takes thirty.
const ROOM_MAX: usize = 64;

/// Why bytes are not what they should be.
#[derive(Clone, Debug, PartialEq)]
pub enum DecodeError {
    /// They are not one msgpack value of the ABI.
    Malformed(&'static str),
    /// A value does not fit the type that it is meant for.
    Type {
        /// Where it stands in the whole, as `list[2].name`; empty for the whole itself.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

impl DecodeError {
    /// A value of another type: found what `found` says, in place of what `wanted` says.
    pub fn mismatch(found: &str, wanted: &str) -> DecodeError {
        DecodeError::Type { path: String::new(), reason: format!("{found} does not fit {wanted}") }
    }

    /// The same, one step further out: `step` is a key, or an index in brackets.
    pub fn within(self, step: &str) -> DecodeError {
        match self {
            DecodeError::Type { path, reason } => {
                let dot = if path.is_empty() || path.starts_with('[') { "" } else { "." };
                DecodeError::Type { path: format!("{step}{dot}{path}"), reason }
            }
            malformed => malformed,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            DecodeError::Malformed(_) => "MalformedError",
            DecodeError::Type { .. } => "TypeError",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Malformed(reason) => write!(to, "malformed msgpack: {reason}"),
            DecodeError::Type { path, reason } if path.is_empty() => to.write_str(reason),
            DecodeError::Type { path, reason } => write!(to, "{path}: {reason}"),
        }
    }
}

impl std::error::Error for DecodeError {}

const TRUNCATED: DecodeError = DecodeError::Malformed("it ends too early");
const DEEP: DecodeError = DecodeError::Malformed("it is nested too deep");

/// A value's first bytes, taken apart. Lengths are bytes of text and binary, items of an array, pairs of an object.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Head {
    Nil,
    Bool(bool),
    Int(i64),
    /// Beyond `i64::MAX`.
    Uint(u64),
    Float(f64),
    Str(usize),
    Bin(usize),
    Array(usize),
    Map(usize),
}

impl Head {
    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Head::Nil => "null",
            Head::Bool(_) => "a boolean",
            Head::Int(_) | Head::Uint(_) => "an integer",
            Head::Float(_) => "a number",
            Head::Str(_) => "a string",
            Head::Bin(_) => "binary",
            Head::Array(_) => "an array",
            Head::Map(_) => "an object",
        }
    }
}

/// Reads msgpack. The bytes may be anyone's: a length is believed only as far as there are bytes, and depth is bounded.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    data: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the first of `data`.
    pub fn new(data: &'a [u8]) -> Reader<'a> {
        Reader { data, at: 0, depth: 0 }
    }

    /// What is behind the values that were read.
    pub fn rest(&self) -> &'a [u8] {
        &self.data[self.at..]
    }

    /// Whether all was read.
    pub fn is_at_end(&self) -> bool {
        self.at == self.data.len()
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let bytes = self.rest().get(..len).ok_or(TRUNCATED)?;
        self.at += len;
        Ok(bytes)
    }

    fn number(&mut self, wide: usize) -> Result<u64, DecodeError> {
        Ok(self.take(wide)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn signed(&mut self, wide: usize) -> Result<Head, DecodeError> {
        let shift = 64 - 8 * wide as u32;
        Ok(Head::Int((self.number(wide)? << shift) as i64 >> shift))
    }

    /// `number` if so many things of at least `least` bytes can still come.
    fn believed(&self, number: u64, least: u64) -> Result<usize, DecodeError> {
        if number.saturating_mul(least) > self.rest().len() as u64 {
            return Err(TRUNCATED);
        }
        Ok(number as usize)
    }

    /// The next value's head. For text and binary [`text`](Reader::text) or [`bytes`](Reader::bytes) of this length come next,
    /// for an array its items, for an object keys and values in turn.
    pub fn head(&mut self) -> Result<Head, DecodeError> {
        let first = *self.rest().first().ok_or(TRUNCATED)?;
        self.at += 1;
        let wide = 1 << (first & 3);
        Ok(match first {
            0x00..=0x7f => Head::Int(first.into()),
            0x80..=0x8f => Head::Map(self.believed(u64::from(first & 0x0f), 2)?),
            0x90..=0x9f => Head::Array(self.believed(u64::from(first & 0x0f), 1)?),
            0xa0..=0xbf => Head::Str(self.believed(u64::from(first & 0x1f), 1)?),
            0xc0 => Head::Nil,
            0xc2 => Head::Bool(false),
            0xc3 => Head::Bool(true),
            0xc4..=0xc6 => {
                let len = self.number(1 << (first - 0xc4))?;
                Head::Bin(self.believed(len, 1)?)
            }
            0xca => Head::Float(f32::from_bits(self.number(4)? as u32).into()),
            0xcb => Head::Float(f64::from_bits(self.number(8)?)),
            0xcc..=0xcf => match self.number(wide)? {
                number if number > i64::MAX as u64 => Head::Uint(number),
                number => Head::Int(number as i64),
            },
            0xd0..=0xd3 => self.signed(wide)?,
            0xd9..=0xdb => {
                let len = self.number(1 << (first - 0xd9))?;
                Head::Str(self.believed(len, 1)?)
            }
            0xdc | 0xdd => {
                let len = self.number(2 << (first - 0xdc))?;
                Head::Array(self.believed(len, 1)?)
            }
            0xde | 0xdf => {
                let len = self.number(2 << (first - 0xde))?;
                Head::Map(self.believed(len, 2)?)
            }
            0xe0..=0xff => Head::Int((first as i8).into()),
            0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => {
                return Err(DecodeError::Malformed("a byte that the ABI has not"));
            }
        })
    }

    /// The text whose head was read.
    pub fn text(&mut self, len: usize) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.take(len)?).map_err(|_| DecodeError::Malformed("a string that is not UTF-8"))
    }

    /// The bytes whose head was read.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        self.take(len)
    }

    /// The next value, which is a key.
    pub fn key(&mut self) -> Result<&'a str, DecodeError> {
        match self.head()? {
            Head::Str(len) => self.text(len),
            _ => Err(DecodeError::Malformed("a key that is no string")),
        }
    }

    /// Steps over the next value. Nesting is counted, not recursed into.
    pub fn skip(&mut self) -> Result<(), DecodeError> {
        let mut pending = 1u64;
        while pending > 0 {
            pending -= 1;
            match self.head()? {
                Head::Str(len) | Head::Bin(len) => self.at += len,
                Head::Array(len) => pending += len as u64,
                Head::Map(len) => pending += 2 * len as u64,
                _ => {}
            }
            self.believed(pending, 1)?;
        }
        Ok(())
    }

    /// One level further in, for what reads an array or an object.
    pub fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, DecodeError>) -> Result<T, DecodeError> {
        if self.depth == DEPTH_MAX {
            return Err(DEEP);
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn value(&mut self) -> Result<Value, DecodeError> {
        Ok(match self.head()? {
            Head::Nil => Value::Nil,
            Head::Bool(value) => Value::Bool(value),
            Head::Int(value) => Value::Int(value),
            Head::Uint(value) => Value::Uint(value),
            Head::Float(value) => Value::Float(value),
            Head::Str(len) => Value::Str(self.text(len)?.into()),
            Head::Bin(len) => Value::Bin(self.bytes(len)?.into()),
            Head::Array(len) => Value::Array(self.nested(|from| from.values(len))?),
            Head::Map(len) => Value::Map(self.nested(|from| from.pairs(len))?),
        })
    }

    fn values(&mut self, len: usize) -> Result<Vec<Value>, DecodeError> {
        let mut items = Vec::with_capacity(len.min(ROOM_MAX));
        for _ in 0..len {
            items.push(self.value()?);
        }
        Ok(items)
    }

    /// Of twin keys the first one stays.
    fn pairs(&mut self, len: usize) -> Result<Map, DecodeError> {
        let mut pairs = Map::new();
        for _ in 0..len {
            let key = self.key()?;
            let value = self.value()?;
            pairs.entry(key.into()).or_insert(value);
        }
        Ok(pairs)
    }
}

/// What can be read from msgpack. [`record!`](crate::record!) writes it for structs.
pub trait Decode: Sized {
    /// Reads the next value.
    fn decode(from: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// What a key that is not there means; None: it must be there.
    fn absent() -> Option<Self> {
        None
    }

    /// Reads a list. Of bytes it is binary.
    #[doc(hidden)]
    fn decode_vec(from: &mut Reader<'_>) -> Result<Vec<Self>, DecodeError> {
        match from.head()? {
            Head::Array(len) => from.nested(|from| {
                let mut items = Vec::with_capacity(len.min(ROOM_MAX));
                for index in 0..len {
                    items.push(Self::decode(from).map_err(|error| error.within(&format!("[{index}]")))?);
                }
                Ok(items)
            }),
            other => Err(DecodeError::mismatch(other.kind(), "a list")),
        }
    }
}

/// Exactly one value from its bytes.
pub fn decode<T: Decode>(data: &[u8]) -> Result<T, DecodeError> {
    let mut from = Reader::new(data);
    let value = T::decode(&mut from)?;
    if from.is_at_end() {
        Ok(value)
    } else {
        Err(DecodeError::Malformed("bytes behind the value"))
    }
}

impl Decode for Value {
    fn decode(from: &mut Reader<'_>) -> Result<Value, DecodeError> {
        from.value()
    }

    fn absent() -> Option<Value> {
        Some(Value::Nil)
    }
}

/// nil, or anything: it is not looked at.
impl Decode for () {
    fn decode(from: &mut Reader<'_>) -> Result<(), DecodeError> {
        from.skip()
    }
}

impl Decode for bool {
    fn decode(from: &mut Reader<'_>) -> Result<bool, DecodeError> {
        match from.head()? {
            Head::Bool(value) => Ok(value),
            other => Err(DecodeError::mismatch(other.kind(), "a boolean")),
        }
    }
}

/// A whole float is an integer, too: JSON does not tell 1 from 1.0.
fn integer(head: Head, wanted: &'static str) -> Result<i128, DecodeError> {
    match head {
        Head::Int(value) => Ok(value.into()),
        Head::Uint(value) => Ok(value.into()),
        Head::Float(value) if value.trunc() == value && value.abs() < 18_446_744_073_709_551_616.0 => Ok(value as i128),
        other => Err(DecodeError::mismatch(other.kind(), wanted)),
    }
}

macro_rules! decode_integers {
    ($($kind:ident)*) => {$(
        impl Decode for $kind {
            fn decode(from: &mut Reader<'_>) -> Result<$kind, DecodeError> {
                const WANTED: &str = concat!("an ", stringify!($kind));
                let head = from.head()?;
                $kind::try_from(integer(head, WANTED)?).map_err(|_| DecodeError::mismatch(head.kind(), WANTED))
            }
        }
    )*};
}

decode_integers!(i8 i16 i32 i64 isize u16 u32 u64 usize);

impl Decode for u8 {
    fn decode(from: &mut Reader<'_>) -> Result<u8, DecodeError> {
        let head = from.head()?;
        u8::try_from(integer(head, "a u8")?).map_err(|_| DecodeError::mismatch(head.kind(), "a u8"))
    }

    /// Binary; in an event that came as JSON it is base64, or a list of numbers.
    fn decode_vec(from: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
        match from.head()? {
            Head::Bin(len) => Ok(from.bytes(len)?.into()),
            Head::Str(len) => {
                let text = from.text(len)?;
                unbase64(text).ok_or_else(|| DecodeError::mismatch("a string that is not base64", "bytes"))
            }
            Head::Array(len) => from.nested(|from| (0..len).map(|_| u8::decode(from)).collect()),
            other => Err(DecodeError::mismatch(other.kind(), "bytes")),
        }
    }
}

impl Decode for f64 {
    fn decode(from: &mut Reader<'_>) -> Result<f64, DecodeError> {
        match from.head()? {
            Head::Int(value) => Ok(value as f64),
            Head::Uint(value) => Ok(value as f64),
            Head::Float(value) => Ok(value),
            other => Err(DecodeError::mismatch(other.kind(), "a number")),
        }
    }
}

impl Decode for f32 {
    fn decode(from: &mut Reader<'_>) -> Result<f32, DecodeError> {
        f64::decode(from).map(|value| value as f32)
    }
}

impl Decode for String {
    fn decode(from: &mut Reader<'_>) -> Result<String, DecodeError> {
        match from.head()? {
            Head::Str(len) => Ok(from.text(len)?.into()),
            other => Err(DecodeError::mismatch(other.kind(), "a string")),
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(from: &mut Reader<'_>) -> Result<Option<T>, DecodeError> {
        if from.rest().first() == Some(&0xc0) {
            from.head()?;
            return Ok(None);
        }
        T::decode(from).map(Some)
    }

    fn absent() -> Option<Option<T>> {
        Some(None)
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(from: &mut Reader<'_>) -> Result<Box<T>, DecodeError> {
        T::decode(from).map(Box::new)
    }

    fn absent() -> Option<Box<T>> {
        T::absent().map(Box::new)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(from: &mut Reader<'_>) -> Result<Vec<T>, DecodeError> {
        T::decode_vec(from)
    }
}

fn entries<K: Decode, V: Decode>(
    from: &mut Reader<'_>,
    mut add: impl FnMut(K, V),
) -> Result<(), DecodeError> {
    match from.head()? {
        Head::Map(len) => from.nested(|from| {
            for _ in 0..len {
                let name = from.clone().key()?;
                let key = K::decode(from)?;
                add(key, V::decode(from).map_err(|error| error.within(name))?);
            }
            Ok(())
        }),
        other => Err(DecodeError::mismatch(other.kind(), "an object")),
    }
}

impl<V: Decode> Decode for BTreeMap<String, V> {
    fn decode(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut pairs = BTreeMap::new();
        entries(from, |key, value| {
            pairs.entry(key).or_insert(value);
        })?;
        Ok(pairs)
    }
}

impl<K: Decode + Eq + Hash, V: Decode, S: BuildHasher + Default> Decode for HashMap<K, V, S> {
    fn decode(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut pairs = HashMap::default();
        entries(from, |key, value| {
            pairs.entry(key).or_insert(value);
        })?;
        Ok(pairs)
    }
}

macro_rules! decode_tuples {
    ($($count:literal: $($kind:ident)+;)*) => {$(
        impl<$($kind: Decode),+> Decode for ($($kind,)+) {
            fn decode(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match from.head()? {
                    Head::Array($count) => from.nested(|from| Ok(($($kind::decode(from)?,)+))),
                    other => Err(DecodeError::mismatch(other.kind(), concat!("a list of ", $count))),
                }
            }
        }
    )*};
}

decode_tuples! { 1: A; 2: A B; 3: A B C; 4: A B C D; }

/// Standard base64, padded. None if it is anything else.
fn unbase64(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    if text.len() % 4 != 0 {
        return None;
    }
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text).as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for four in digits.chunks(4) {
        let mut bits = 0u32;
        for c in four {
            bits = bits << 6 | u32::from(digit(*c)?);
        }
        bits <<= 6 * (4 - four.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_whole_or_not_at_all() {
        assert_eq!(unbase64("AQID"), Some(vec![1, 2, 3]));
        assert_eq!(unbase64("/+8="), Some(vec![255, 239]));
        assert_eq!(unbase64("AA=="), Some(vec![0]));
        assert_eq!(unbase64(""), Some(vec![]));
        assert_eq!(unbase64("AQI"), None);
        assert_eq!(unbase64("A?ID"), None);
    }

    #[test]
    fn a_misfit_names_its_place() {
        let data = crate::encode(&crate::map! { "a" => Value::from(vec![Value::from(1), Value::from("x")]) });
        let error = decode::<BTreeMap<String, Vec<i64>>>(&data).unwrap_err();
        assert_eq!(error.to_string(), "a[1]: a string does not fit an i64");
    }

    #[test]
    fn depth_is_bounded_for_every_type() {
        let mut data = vec![0x91; 513];
        data.push(0xc0);
        assert_eq!(decode::<Value>(&data).unwrap_err(), DEEP);
        assert!(decode::<Value>(&data[1..]).is_ok());
    }

    #[test]
    fn whole_floats_fit_integers_and_nothing_else_does() {
        assert_eq!(decode::<i64>(&crate::encode(&3.0)), Ok(3));
        assert!(decode::<i64>(&crate::encode(&3.5)).is_err());
        assert!(decode::<i64>(&crate::encode(&1e300)).is_err());
        assert!(decode::<i64>(&crate::encode(&f64::NAN)).is_err());
        assert!(decode::<u8>(&crate::encode(&256)).is_err());
        assert!(decode::<u64>(&crate::encode(&-1)).is_err());
        assert_eq!(decode::<u64>(&crate::encode(&u64::MAX)), Ok(u64::MAX));
    }
}
