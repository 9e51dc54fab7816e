use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::decode::{decode, Decode, DecodeError, Head, Reader};
use crate::value::Value;

/// What the host says of this invocation (abi.md 2.1). It is read when it is asked for: who never asks does not pay.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    entries: &'a [u8],
}

impl<'a> Context<'a> {
    /// From the map's bytes; what is behind them does not matter.
    pub(crate) fn of(entries: &'a [u8]) -> Context<'a> {
        Context { entries }
    }

    pub(crate) fn entries(&self) -> &'a [u8] {
        self.entries
    }

    /// The value of an entry by its name in abi.md, as a T; None if there is none, or another type's.
    pub fn get<T: Decode>(&self, key: &str) -> Option<T> {
        decode(self.find(key)?).ok()
    }

    fn find(&self, key: &str) -> Option<&'a [u8]> {
        let mut from = Reader::new(self.entries);
        let len = match from.head() {
            Ok(Head::Map(len)) => len,
            _ => return None,
        };
        for _ in 0..len {
            let found = from.key().ok()? == key;
            let start = from.rest();
            from.skip().ok()?;
            if found {
                return Some(&start[..start.len() - from.rest().len()]);
            }
        }
        None
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        Reader::new(self.find(key)?).key().ok()
    }

    /// A UUID, new for every invocation.
    pub fn request_id(&self) -> &'a str {
        self.text("request_id").unwrap_or_default()
    }

    /// The function's name.
    pub fn function_name(&self) -> &'a str {
        self.text("function_name").unwrap_or_default()
    }

    /// `$LATEST` or a number.
    pub fn function_version(&self) -> &'a str {
        self.text("function_version").unwrap_or_default()
    }

    /// The name that tells it from all others.
    pub fn function_arn(&self) -> &'a str {
        self.text("function_arn").unwrap_or_default()
    }

    /// What it may use.
    pub fn memory_limit_mb(&self) -> u64 {
        self.get("memory_limit_mb").unwrap_or_default()
    }

    /// Where its log is.
    pub fn log_group(&self) -> &'a str {
        self.text("log_group").unwrap_or_default()
    }

    /// Where in it.
    pub fn log_stream(&self) -> &'a str {
        self.text("log_stream").unwrap_or_default()
    }

    /// Unix time in milliseconds at which the invocation is stopped.
    pub fn deadline_ms(&self) -> u64 {
        self.get("deadline_ms").unwrap_or_default()
    }

    /// The same as an instant.
    pub fn deadline(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.deadline_ms())
    }

    /// What is left until then.
    pub fn remaining(&self) -> Duration {
        self.deadline().duration_since(crate::now()).unwrap_or_default()
    }

    /// Fresh random bytes. [`rng`](crate::rng) is seeded from them.
    pub fn entropy(&self) -> [u8; 16] {
        let bytes: Vec<u8> = self.get("entropy").unwrap_or_default();
        <[u8; 16]>::try_from(bytes).unwrap_or_default()
    }

    /// The caller's `X-Amzn-Trace-Id`, if any.
    pub fn trace_id(&self) -> Option<&'a str> {
        self.text("trace_id")
    }

    /// The caller's `X-Amz-Client-Context`, if any.
    pub fn client_context(&self) -> Option<Value> {
        self.get("client_context")
    }
}

/// An envelope taken apart, as far as it must be: the event, still encoded, and the context.
pub(crate) fn open(envelope: &[u8]) -> Result<(&[u8], Context<'_>), DecodeError> {
    let mut from = Reader::new(envelope);
    let mut event = None;
    if let Head::Map(len) = from.head()? {
        for _ in 0..len {
            let name = from.key()?;
            let start = from.rest();
            if let ("context", Some(event)) = (name, event) {
                return Ok((event, Context::of(start)));
            }
            from.skip()?;
            if name == "event" {
                event = Some(&start[..start.len() - from.rest().len()]);
            }
        }
    }
    Err(DecodeError::Malformed("the envelope is not a map of `event` and `context`"))
}
