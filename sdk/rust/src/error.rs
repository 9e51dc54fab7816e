use std::any::Any;
use std::fmt;

use crate::capability::CapabilityError;
use crate::decode::DecodeError;
use crate::encode::Writer;

/// What a handler answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What becomes the outcome's `error`. Every `std::error::Error` turns into one (`?` does it), with the name of its type.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    kind: String,
    message: String,
    stack: Vec<String>,
}

impl Error {
    /// An error of this type and message.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Error {
        Error { kind: kind.into(), message: message.into(), stack: Vec::new() }
    }

    /// With these lines as its stack, innermost first.
    pub fn with_stack(self, stack: Vec<String>) -> Error {
        Error { stack, ..self }
    }

    /// The outcome's `type`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The outcome's `message`.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn outcome(&self) -> Vec<u8> {
        let mut to = Writer::new();
        to.map(1);
        to.str("error");
        to.map(if self.stack.is_empty() { 2 } else { 3 });
        to.pair("type", &self.kind);
        to.pair("message", &self.message);
        if !self.stack.is_empty() {
            to.pair("stack", &self.stack);
        }
        to.into_bytes()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.kind, self.message)
    }
}

/// Not a `std::error::Error` itself, or this could not be for all of them.
impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(error: E) -> Error {
        let any: &dyn Any = &error;
        let kind = if let Some(refused) = any.downcast_ref::<CapabilityError>() {
            refused.type_name()
        } else if let Some(misread) = any.downcast_ref::<DecodeError>() {
            misread.name()
        } else {
            short_name(std::any::type_name::<E>())
        };
        let mut stack = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            stack.push(format!("caused by: {cause}"));
            source = cause.source();
        }
        Error::new(kind, error.to_string()).with_stack(stack)
    }
}

/// `a::b::Name<c::D>` without path and generics.
fn short_name(path: &str) -> &str {
    let plain = path.split('<').next().unwrap_or(path);
    plain.rsplit("::").next().unwrap_or(plain)
}

/// Returns an error: `bail!("NameMissing", "the event has no {}", key)`.
#[macro_export]
macro_rules! bail {
    ($kind:expr, $($message:tt)+) => {
        return ::std::result::Result::Err($crate::Error::new($kind, ::std::format!($($message)+)).into())
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_name_of_its_type() {
        let error: Error = "x".parse::<i32>().unwrap_err().into();
        assert_eq!(error.kind(), "ParseIntError");
        assert_eq!(error.message(), "invalid digit found in string");
        assert_eq!(Error::from(DecodeError::mismatch("null", "a u8")).kind(), "TypeError");
        assert_eq!(short_name("a::b::Wrong<alloc::string::String>"), "Wrong");
    }
}
