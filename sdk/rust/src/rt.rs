//! What the macros write calls of. Not for handlers.

use crate::context::{open, Context};
use crate::decode::{decode, Decode, DecodeError, Head, Reader};
use crate::encode::{Encode, Writer};
use crate::error::Error;
use crate::rng;

/// Of the panic's message that goes into the outcome: `isolet.fail` takes 64 KiB.
const MESSAGE_BYTES_MAX: usize = 16_384;

/// An initialisation that has nothing to do.
pub fn nothing() {}

/// The outcome of an envelope.
pub fn outcome<E: Decode, R: Encode, X: Into<Error>>(
    envelope: &[u8],
    handle: impl FnOnce(E, &Context<'_>) -> Result<R, X>,
) -> Vec<u8> {
    match attempt(envelope, handle) {
        Ok(result) => {
            let mut to = Writer::new();
            to.raw(b"\x81\xa2ok");
            result.encode(&mut to);
            to.into_bytes()
        }
        Err(error) => error.outcome(),
    }
}

fn attempt<E: Decode, R, X: Into<Error>>(
    envelope: &[u8],
    handle: impl FnOnce(E, &Context<'_>) -> Result<R, X>,
) -> Result<R, Error> {
    let (event, context) = open(envelope)?;
    rng::begin(context.entries());
    handle(decode(event)?, &context).map_err(Into::into)
}

/// Once, before the first invocation: panics are told from then on.
pub fn start(init: fn()) {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
            (Some(text), _) => text,
            (_, Some(text)) => text.as_str(),
            _ => "",
        };
        let mut end = message.len().min(MESSAGE_BYTES_MAX);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        let place = panic.location().map(ToString::to_string);
        let error = Error::new("Panic", &message[..end]).with_stack(place.into_iter().collect());
        crate::host::fail(&error.outcome());
    }));
    #[cfg(not(target_arch = "wasm32"))]
    let _ = (MESSAGE_BYTES_MAX, crate::host::fail as fn(&[u8]));
    init();
}

#[cfg(target_arch = "wasm32")]
mod memory {
    use std::cell::UnsafeCell;

    /// What the host asks for when the snapshot is made (abi.md 1.1): an event that fits costs no call for a buffer.
    const INPUT_BYTES: usize = 65_536;

    /// One thread, and the host is the only other one that touches it, between calls.
    struct Input<T>(UnsafeCell<T>);
    unsafe impl<T> Sync for Input<T> {}
    // Each its own: zeros alone are not in the module.
    static USUAL: Input<[u8; INPUT_BYTES]> = Input(UnsafeCell::new([0; INPUT_BYTES]));
    static LARGER: Input<Vec<u8>> = Input(UnsafeCell::new(Vec::new()));

    /// Room for an event; 0 if there is none.
    pub fn buffer(len: u32) -> u32 {
        if len as usize <= INPUT_BYTES {
            return USUAL.0.get() as usize as u32;
        }
        let mut room = Vec::new();
        if room.try_reserve_exact(len as usize).is_err() {
            return 0;
        }
        room.resize(len as usize, 0u8);
        unsafe {
            *LARGER.0.get() = room;
            (*LARGER.0.get()).as_ptr() as usize as u32
        }
    }

    /// The outcome stays where it is: it is never freed, as nothing else is when an isolate ends.
    pub fn handle(ptr: u32, len: u32, serve: fn(&[u8]) -> Vec<u8>) -> u64 {
        let input = unsafe { std::slice::from_raw_parts(ptr as usize as *const u8, len as usize) };
        let outcome = std::mem::ManuallyDrop::new(serve(input));
        (outcome.as_ptr() as usize as u64) << 32 | outcome.len() as u64
    }
}

#[cfg(target_arch = "wasm32")]
pub use memory::{buffer, handle};

/// The pairs of an object, key by key.
pub fn fields<'a>(
    from: &mut Reader<'a>,
    wanted: &str,
    mut each: impl FnMut(&'a str, &mut Reader<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    match from.head()? {
        Head::Map(len) => from.nested(|from| {
            for _ in 0..len {
                let name = from.key()?;
                each(name, from)?;
            }
            Ok(())
        }),
        other => Err(DecodeError::mismatch(other.kind(), &format!("a {wanted}"))),
    }
}

/// The meaning of a key that is not there.
pub fn absent<T: Decode>(key: &str) -> Result<T, DecodeError> {
    T::absent().ok_or_else(|| DecodeError::Type { path: key.into(), reason: "it is missing".into() })
}
