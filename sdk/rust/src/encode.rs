use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::value::Value;

/// Writes msgpack, each value in its shortest form (floats in 64 bits).
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty one.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Bytes as they are: for what is encoded already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn head(&mut self, first: u8, number: u64, wide: usize) {
        self.bytes.push(first);
        self.bytes.extend_from_slice(&number.to_be_bytes()[8 - wide..]);
    }

    /// The head of what has a length: `small` is its form up to `most`, `first` the first of the longer forms.
    fn long(&mut self, small: u8, most: usize, first: u8, len: usize, narrowest: usize) {
        if len <= most {
            self.bytes.push(small | len as u8);
        } else if narrowest == 1 && len <= usize::from(u8::MAX) {
            self.head(first, len as u64, 1);
        } else if len <= usize::from(u16::MAX) {
            self.head(first + (2 - narrowest as u8), len as u64, 2);
        } else {
            self.head(first + (3 - narrowest as u8), len as u64, 4);
        }
    }

    /// nil
    pub fn nil(&mut self) {
        self.bytes.push(0xc0);
    }

    /// true or false
    pub fn bool(&mut self, value: bool) {
        self.bytes.push(if value { 0xc3 } else { 0xc2 });
    }

    /// A whole number that is not negative.
    pub fn uint(&mut self, value: u64) {
        match value {
            0..=0x7f => self.bytes.push(value as u8),
            0x80..=0xff => self.head(0xcc, value, 1),
            0x100..=0xffff => self.head(0xcd, value, 2),
            0x1_0000..=0xffff_ffff => self.head(0xce, value, 4),
            _ => self.head(0xcf, value, 8),
        }
    }

    /// A whole number.
    pub fn int(&mut self, value: i64) {
        match value {
            0..=i64::MAX => self.uint(value as u64),
            -32..=-1 => self.bytes.push(value as u8),
            -0x80..=-33 => self.head(0xd0, value as u64, 1),
            -0x8000..=-0x81 => self.head(0xd1, value as u64, 2),
            -0x8000_0000..=-0x8001 => self.head(0xd2, value as u64, 4),
            _ => self.head(0xd3, value as u64, 8),
        }
    }

    /// A number.
    pub fn float(&mut self, value: f64) {
        self.head(0xcb, value.to_bits(), 8);
    }

    /// Text.
    pub fn str(&mut self, text: &str) {
        self.long(0xa0, 31, 0xd9, text.len(), 1);
        self.raw(text.as_bytes());
    }

    /// Bytes.
    pub fn bin(&mut self, bytes: &[u8]) {
        match bytes.len() {
            len @ 0..=0xff => self.head(0xc4, len as u64, 1),
            len @ 0x100..=0xffff => self.head(0xc5, len as u64, 2),
            len => self.head(0xc6, len as u64, 4),
        }
        self.raw(bytes);
    }

    /// A list's head: `len` values must follow.
    pub fn array(&mut self, len: usize) {
        self.long(0x90, 15, 0xdc, len, 2);
    }

    /// An object's head: `len` pairs of a text and a value must follow.
    pub fn map(&mut self, len: usize) {
        self.long(0x80, 15, 0xde, len, 2);
    }

    /// Any value.
    pub fn put<T: Encode + ?Sized>(&mut self, value: &T) {
        value.encode(self);
    }

    /// A pair of an object whose head was written.
    pub fn pair<T: Encode + ?Sized>(&mut self, key: &str, value: &T) {
        self.str(key);
        self.put(value);
    }

    /// The same, if there is a value.
    pub fn pair_if<T: Encode>(&mut self, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.pair(key, &value);
        }
    }
}

/// What can be written as msgpack. [`record!`](crate::record!) writes it for structs.
pub trait Encode {
    /// Writes exactly one value.
    fn encode(&self, to: &mut Writer);

    /// Writes a list. Of bytes it is binary.
    #[doc(hidden)]
    fn encode_slice(items: &[Self], to: &mut Writer)
    where
        Self: Sized,
    {
        to.array(items.len());
        for item in items {
            item.encode(to);
        }
    }
}

/// A value's bytes.
pub fn encode<T: Encode + ?Sized>(value: &T) -> Vec<u8> {
    let mut to = Writer::new();
    value.encode(&mut to);
    to.into_bytes()
}

impl Encode for Value {
    fn encode(&self, to: &mut Writer) {
        match self {
            Value::Nil => to.nil(),
            Value::Bool(value) => to.bool(*value),
            Value::Int(value) => to.int(*value),
            Value::Uint(value) => to.uint(*value),
            Value::Float(value) => to.float(*value),
            Value::Str(text) => to.str(text),
            Value::Bin(bytes) => to.bin(bytes),
            Value::Array(items) => Encode::encode_slice(items, to),
            Value::Map(pairs) => pairs.encode(to),
        }
    }
}

/// nil
impl Encode for () {
    fn encode(&self, to: &mut Writer) {
        to.nil();
    }
}

impl Encode for bool {
    fn encode(&self, to: &mut Writer) {
        to.bool(*self);
    }
}

macro_rules! encode_integers {
    ($($kind:ty)*) => {$(
        impl Encode for $kind {
            fn encode(&self, to: &mut Writer) {
                to.int(*self as i64);
            }
        }
    )*};
}

encode_integers!(i8 i16 i32 i64 isize u16 u32);

impl Encode for u64 {
    fn encode(&self, to: &mut Writer) {
        to.uint(*self);
    }
}

impl Encode for usize {
    fn encode(&self, to: &mut Writer) {
        to.uint(*self as u64);
    }
}

impl Encode for u8 {
    fn encode(&self, to: &mut Writer) {
        to.uint((*self).into());
    }

    fn encode_slice(bytes: &[u8], to: &mut Writer) {
        to.bin(bytes);
    }
}

impl Encode for f32 {
    fn encode(&self, to: &mut Writer) {
        to.float((*self).into());
    }
}

impl Encode for f64 {
    fn encode(&self, to: &mut Writer) {
        to.float(*self);
    }
}

impl Encode for str {
    fn encode(&self, to: &mut Writer) {
        to.str(self);
    }
}

impl Encode for String {
    fn encode(&self, to: &mut Writer) {
        to.str(self);
    }
}

impl<T: Encode> Encode for [T] {
    fn encode(&self, to: &mut Writer) {
        T::encode_slice(self, to);
    }
}

impl<T: Encode, const N: usize> Encode for [T; N] {
    fn encode(&self, to: &mut Writer) {
        T::encode_slice(self, to);
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, to: &mut Writer) {
        T::encode_slice(self, to);
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, to: &mut Writer) {
        match self {
            Some(value) => value.encode(to),
            None => to.nil(),
        }
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, to: &mut Writer) {
        (**self).encode(to);
    }
}

impl<T: Encode + ?Sized> Encode for Box<T> {
    fn encode(&self, to: &mut Writer) {
        (**self).encode(to);
    }
}

impl<T: Encode + ToOwned + ?Sized> Encode for Cow<'_, T> {
    fn encode(&self, to: &mut Writer) {
        (**self).encode(to);
    }
}

impl<K: AsRef<str>, V: Encode> Encode for BTreeMap<K, V> {
    fn encode(&self, to: &mut Writer) {
        to.map(self.len());
        for (key, value) in self {
            to.pair(key.as_ref(), value);
        }
    }
}

impl<K: AsRef<str>, V: Encode, S> Encode for HashMap<K, V, S> {
    fn encode(&self, to: &mut Writer) {
        to.map(self.len());
        for (key, value) in self {
            to.pair(key.as_ref(), value);
        }
    }
}

macro_rules! encode_tuples {
    ($($count:literal: $($kind:ident)+;)*) => {$(
        impl<$($kind: Encode),+> Encode for ($($kind,)+) {
            #[allow(non_snake_case)]
            fn encode(&self, to: &mut Writer) {
                let ($($kind,)+) = self;
                to.array($count);
                $($kind.encode(to);)+
            }
        }
    )*};
}

encode_tuples! { 1: A; 2: A B; 3: A B C; 4: A B C D; 5: A B C D E; 6: A B C D E F; }
