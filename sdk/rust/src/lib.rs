//! Write isolet functions in Rust (guest ABI version 1, `../abi.md`).
//!
//! ```
//! use isolet::{bail, map, Context, Result, Value};
//!
//! fn handle(event: Value, _context: &Context) -> Result<Value> {
//!     match event["name"].as_str() {
//!         Some(name) => Ok(map! { "hello" => name }),
//!         None => bail!("NameMissing", "the event has no `name`"),
//!     }
//! }
//!
//! isolet::handler!(handle);
//! # fn main() {}
//! ```
//!
//! The event is whatever implements [`Decode`]: a [`Value`], a struct made by [`record!`], an [`http::Request`]; the result
//! whatever implements [`Encode`]. What initialisation makes, every invocation finds made: `isolet::handler!(handle, init =
//! prepare)` runs `fn prepare()` once, when the function is deployed; [`Global`] keeps what it made.
//!
//! Laws:
//! - An error that the handler returns becomes `{type, message}`: the name of its type, without path and generics, and what it
//!   displays. [`Error::new`] and [`bail!`] give both by hand.
//! - A panic becomes the error `Panic` with its message and place. It cannot be caught: the guest ends there (`panic = abort`,
//!   there is no unwinding), through the host's `isolet.fail`.
//! - Memory that is spent is a trap, which the host calls out of memory where little was left: Rust aborts there.
//! - Reading a [`Value`] never panics: what is absent or of another type is `None`, and an index into nothing is nil.
//! - `Vec<u8>` is binary. In an answer that must be JSON the host makes base64 of it.
//! - [`rng`] is seeded anew in every invocation. A generator of your own that initialisation seeded is frozen like everything
//!   else, unless you give its seeding to [`rng::on_reseed`].
//! - Built for `wasm32-unknown-unknown` (the default) std has no clock, files, environment or output: [`now`], [`env`] and the
//!   logging macros are there in their place. Built for `wasm32-wasip1` std has them, and `/var/task` and `/tmp`.
#![warn(missing_docs)]

mod capability;
mod context;
mod decode;
mod encode;
mod error;
pub mod fetch;
mod global;
mod host;
pub mod http;
pub mod kv;
mod log;
mod record;
pub mod rng;
#[doc(hidden)]
pub mod rt;
mod value;

pub use capability::{call, invoke, random, secret, secret_bytes, sleep, CapabilityError, ErrorKind};
pub use context::Context;
pub use decode::{decode, Decode, DecodeError, Head, Reader};
pub use encode::{encode, Encode, Writer};
pub use error::{Error, Result};
pub use fetch::fetch;
pub use global::Global;
pub use host::{env, now};
pub use kv::kv;
pub use log::{log, Level};
pub use value::{Map, Value};

/// Names the function's handler, once, in the crate's root: `isolet::handler!(handle)`, with `, init = prepare` if something
/// runs once at deployment.
///
/// `fn handle(event: E, context: &Context) -> Result<R, X>` where `E: Decode`, `R: Encode` and `X: Into<isolet::Error>`, which
/// every `std::error::Error` is.
#[macro_export]
macro_rules! handler {
    ($handle:path) => {
        $crate::handler!($handle, init = $crate::rt::nothing);
    };
    ($handle:path, init = $init:path) => {
        #[doc(hidden)]
        mod isolet_exports {
            use super::*;

            /// What the tests of a function's crate may call, too: an envelope in, an outcome out.
            #[allow(dead_code)]
            pub(crate) fn serve(envelope: &[u8]) -> ::std::vec::Vec<u8> {
                $crate::rt::outcome(envelope, $handle)
            }

            #[allow(dead_code)]
            pub(crate) fn start() {
                $crate::rt::start($init)
            }

            #[cfg(target_arch = "wasm32")]
            #[no_mangle]
            extern "C" fn isolet_init() {
                start()
            }

            #[cfg(target_arch = "wasm32")]
            #[no_mangle]
            extern "C" fn isolet_buffer(len: u32) -> u32 {
                $crate::rt::buffer(len)
            }

            #[cfg(target_arch = "wasm32")]
            #[no_mangle]
            extern "C" fn isolet_handle(ptr: u32, len: u32) -> u64 {
                $crate::rt::handle(ptr, len, serve)
            }
        }
    };
}
