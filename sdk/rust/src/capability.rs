use std::fmt;
use std::time::Duration;

use crate::decode::{decode, Decode, DecodeError, Head, Reader};
use crate::encode::{Encode, Writer};
use crate::error::Error;
use crate::host;

/// Why a request for a capability was not served (abi.md 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The function has no grant for this; the message says which line of `function.toml` gives it.
    NotGranted,
    /// An argument that is of another type, or not what is allowed.
    Invalid,
    /// A key, value, body or answer beyond its limit.
    TooLarge,
    /// Too many, too much: a quota, or a limit on the calls of one invocation.
    LimitExceeded,
    /// The entry is not at the version that was named.
    Conflict,
    /// An address that may not be reached, whatever is granted.
    Refused,
    /// No whole answer in time.
    Timeout,
    /// The name is unknown, nobody listens, TLS failed, or what answered is not HTTP.
    ConnectionFailed,
    /// More redirects than are followed.
    TooManyRedirects,
    /// There is no such function.
    UnknownFunction,
    /// As many run as may.
    Throttled,
    /// Functions invoke each other without end.
    TooDeep,
    /// The invoked function ran and failed; [`CapabilityError::cause`] is its own error.
    FunctionError,
    /// There is no secret of this name.
    UnknownSecret,
    /// The host has no such capability.
    UnknownCapability,
    /// Not while a snapshot is made, and not a request of this size.
    Unavailable,
    /// The host itself could not do it; it may be tried again.
    HostFailed,
    /// The reply is not what it should be.
    UnexpectedReply,
    /// A type that this version of the crate does not know: [`CapabilityError::type_name`] has it.
    Other,
}

const NAMES: [(&str, ErrorKind); 14] = [
    ("NotGranted", ErrorKind::NotGranted),
    ("Invalid", ErrorKind::Invalid),
    ("TooLarge", ErrorKind::TooLarge),
    ("LimitExceeded", ErrorKind::LimitExceeded),
    ("Conflict", ErrorKind::Conflict),
    ("Refused", ErrorKind::Refused),
    ("Timeout", ErrorKind::Timeout),
    ("ConnectionFailed", ErrorKind::ConnectionFailed),
    ("TooManyRedirects", ErrorKind::TooManyRedirects),
    ("UnknownFunction", ErrorKind::UnknownFunction),
    ("Throttled", ErrorKind::Throttled),
    ("TooDeep", ErrorKind::TooDeep),
    ("FunctionError", ErrorKind::FunctionError),
    ("UnknownSecret", ErrorKind::UnknownSecret),
];

/// A request for a capability that was not served.
#[derive(Clone, Debug, PartialEq)]
pub struct CapabilityError {
    kind: ErrorKind,
    type_name: String,
    message: String,
    cause: Option<Error>,
}

impl CapabilityError {
    fn of(kind: ErrorKind, type_name: &str, message: &str) -> CapabilityError {
        CapabilityError { kind, type_name: type_name.into(), message: message.into(), cause: None }
    }

    fn of_status(status: i32, name: &str) -> CapabilityError {
        let (kind, type_name, why) = match status {
            -1 => (ErrorKind::Invalid, "Invalid", "malformed request"),
            -2 => (ErrorKind::UnknownCapability, "UnknownCapability", "the host has no such capability"),
            -3 => (ErrorKind::NotGranted, "NotGranted", "not granted"),
            -4 => (ErrorKind::Unavailable, "Unavailable", "refused: too large, or made while a snapshot is made"),
            -6 => (ErrorKind::HostFailed, "HostFailed", "the host could not do it; try again"),
            _ => (ErrorKind::Other, "Status", "a status that is not known"),
        };
        CapabilityError::of(kind, type_name, &format!("{name}: {why} (status {status})"))
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The same as the host's word; it becomes the outcome's `type` if the handler returns this error.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// For people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Of a `FunctionError`: the error of the function that was invoked.
    pub fn cause(&self) -> Option<&Error> {
        self.cause.as_ref()
    }
}

impl fmt::Display for CapabilityError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.message)
    }
}

impl std::error::Error for CapabilityError {}

impl From<DecodeError> for CapabilityError {
    fn from(error: DecodeError) -> CapabilityError {
        CapabilityError::of(ErrorKind::UnexpectedReply, "UnexpectedReply", &error.to_string())
    }
}

crate::record! {
    struct Failure {
        kind as "type": String = "Error".into(),
        message: String = String::new(),
        cause: Option<Cause>,
    }
}

crate::record! {
    struct Cause {
        kind as "type": String = "Error".into(),
        message: String = String::new(),
    }
}

impl From<Failure> for CapabilityError {
    fn from(failure: Failure) -> CapabilityError {
        let known = NAMES.iter().find(|(name, _)| *name == failure.kind);
        CapabilityError {
            kind: known.map_or(ErrorKind::Other, |(_, kind)| *kind),
            type_name: failure.kind,
            message: failure.message,
            cause: failure.cause.map(|cause| Error::new(cause.kind, cause.message)),
        }
    }
}

/// A request under way: its name, and arguments that follow.
pub(crate) struct Request {
    name: &'static str,
    pub(crate) to: Writer,
}

impl Request {
    pub(crate) fn new(name: &'static str, arguments: usize) -> Request {
        let mut to = Writer::new();
        to.array(1 + arguments);
        to.str(name);
        Request { name, to }
    }

    pub(crate) fn with<T: Encode + ?Sized>(mut self, argument: &T) -> Request {
        self.to.put(argument);
        self
    }

    fn reply(self) -> Result<Vec<u8>, CapabilityError> {
        host::call(&self.to.into_bytes()).map_err(|status| CapabilityError::of_status(status, self.name))
    }

    /// Asks, and takes the reply's `ok`.
    pub(crate) fn ask<R: Decode>(self) -> Result<R, CapabilityError> {
        let reply = self.reply()?;
        let mut from = Reader::new(&reply);
        match (from.head()?, from.key()?) {
            (Head::Map(1), "ok") => Ok(decode(from.rest())?),
            (Head::Map(1), "error") => Err(decode::<Failure>(from.rest())?.into()),
            _ => Err(DecodeError::Malformed("a reply without `ok` and `error`").into()),
        }
    }
}

/// Any request, for capabilities that this crate does not know: the whole array goes out, the whole reply comes back.
pub fn call<R: Decode>(request: &(impl Encode + ?Sized)) -> Result<R, CapabilityError> {
    let reply = host::call(&crate::encode(request)).map_err(|status| CapabilityError::of_status(status, "call"))?;
    Ok(decode(&reply)?)
}

/// Waits; fuel does not pass. At most 900 s.
pub fn sleep(duration: Duration) -> Result<(), CapabilityError> {
    Request::new("sleep", 1).with(&(duration.as_secs_f64() * 1000.0)).reply().map(drop)
}

/// Fills `into`, at most 64 KiB, with fresh random bytes that are fit for keys.
pub fn random(into: &mut [u8]) -> Result<(), CapabilityError> {
    let drawn: Vec<u8> = decode(&Request::new("random", 1).with(&into.len()).reply()?)?;
    if drawn.len() != into.len() {
        return Err(DecodeError::Malformed("random bytes of another number").into());
    }
    into.copy_from_slice(&drawn);
    Ok(())
}

/// Another function's result, which is given `payload` as its event. `function` is a name, or `name:qualifier`.
pub fn invoke<R: Decode>(function: &str, payload: &(impl Encode + ?Sized)) -> Result<R, CapabilityError> {
    Request::new("invoke", 2).with(function).with(payload).ask()
}

struct Secret(Vec<u8>);

impl Decode for Secret {
    fn decode(from: &mut Reader<'_>) -> Result<Secret, DecodeError> {
        match from.head()? {
            Head::Str(len) | Head::Bin(len) => Ok(Secret(from.bytes(len)?.into())),
            other => Err(DecodeError::mismatch(other.kind(), "a secret")),
        }
    }
}

/// A text that the operator keeps, read anew by each call.
pub fn secret(name: &str) -> Result<String, CapabilityError> {
    String::from_utf8(secret_bytes(name)?)
        .map_err(|_| DecodeError::mismatch("a secret that is not UTF-8", "a String: take secret_bytes").into())
}

/// The same for one that is no text.
pub fn secret_bytes(name: &str) -> Result<Vec<u8>, CapabilityError> {
    Request::new("secrets.get", 1).with(name).ask::<Secret>().map(|secret| secret.0)
}
