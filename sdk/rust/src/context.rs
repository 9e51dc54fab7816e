use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::decode::{decode, Decode, DecodeError, Reader};
use crate::value::Value;

/// What the host says of this invocation (abi.md 2.1).
#[derive(Clone, Debug, Default)]
pub struct Context<'a> {
    /// A UUID, new for every invocation.
    pub request_id: &'a str,
    /// The function's name.
    pub function_name: &'a str,
    /// `$LATEST` or a number.
    pub function_version: &'a str,
    /// The name that tells it from all others.
    pub function_arn: &'a str,
    /// What it may use.
    pub memory_limit_mb: u64,
    /// Where its log is.
    pub log_group: &'a str,
    /// Where in it.
    pub log_stream: &'a str,
    /// Unix time in milliseconds at which the invocation is stopped.
    pub deadline_ms: u64,
    /// Fresh random bytes. [`rng`](crate::rng) is seeded from them.
    pub entropy: [u8; 16],
    /// The caller's `X-Amzn-Trace-Id`, if any.
    pub trace_id: Option<&'a str>,
    client_context: Option<&'a [u8]>,
}

impl<'a> Context<'a> {
    /// The instant at which the invocation is stopped.
    pub fn deadline(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.deadline_ms)
    }

    /// What is left until then.
    pub fn remaining(&self) -> Duration {
        self.deadline().duration_since(crate::now()).unwrap_or_default()
    }

    /// The caller's `X-Amz-Client-Context`, if any.
    pub fn client_context(&self) -> Option<Value> {
        decode(self.client_context?).ok()
    }

    fn read(from: &mut Reader<'a>) -> Result<Context<'a>, DecodeError> {
        let mut context = Context::default();
        let mut entropy: Vec<u8> = Vec::new();
        object(from, |name, from| {
            let start = from.clone();
            match name {
                "request_id" => context.request_id = from.key()?,
                "function_name" => context.function_name = from.key()?,
                "function_version" => context.function_version = from.key()?,
                "function_arn" => context.function_arn = from.key()?,
                "log_group" => context.log_group = from.key()?,
                "log_stream" => context.log_stream = from.key()?,
                "trace_id" => context.trace_id = Some(from.key()?),
                "memory_limit_mb" => context.memory_limit_mb = u64::decode(from)?,
                "deadline_ms" => context.deadline_ms = u64::decode(from)?,
                "entropy" => entropy = Vec::decode(from)?,
                _ => {
                    from.skip()?;
                    if name == "client_context" {
                        context.client_context = Some(between(&start, from));
                    }
                }
            }
            Ok(())
        })?;
        let len = entropy.len().min(16);
        context.entropy[..len].copy_from_slice(&entropy[..len]);
        Ok(context)
    }
}

/// An envelope taken apart: the event, still encoded, and the context.
pub(crate) fn open(envelope: &[u8]) -> Result<(&[u8], Context<'_>), DecodeError> {
    let mut from = Reader::new(envelope);
    let (mut event, mut context) = (None, None);
    object(&mut from, |name, from| {
        let start = from.clone();
        if name == "context" {
            context = Some(Context::read(from)?);
        } else {
            from.skip()?;
            if name == "event" {
                event = Some(between(&start, from));
            }
        }
        Ok(())
    })?;
    match (event, context) {
        (Some(event), Some(context)) if from.is_at_end() => Ok((event, context)),
        _ => Err(DecodeError::Malformed("the envelope is not a map of `event` and `context`")),
    }
}

fn object<'a>(
    from: &mut Reader<'a>,
    mut each: impl FnMut(&'a str, &mut Reader<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    match from.head()? {
        crate::Head::Map(len) => {
            for _ in 0..len {
                let name = from.key()?;
                each(name, from)?;
            }
            Ok(())
        }
        other => Err(DecodeError::mismatch(other.kind(), "an object")),
    }
}

fn between<'a>(start: &Reader<'a>, end: &Reader<'a>) -> &'a [u8] {
    let bytes = start.rest();
    &bytes[..bytes.len() - end.rest().len()]
}
