//! A store that outlives invocations (abi.md 5.2).
//!
//! ```no_run
//! # fn main() -> Result<(), isolet::CapabilityError> {
//! let sessions = isolet::kv("sessions");
//! sessions.put("ada", "logged in")?;
//! if let Some(entry) = sessions.get("ada")? {
//!     sessions.put_with("ada", b"away", isolet::kv::Put::new().if_version(entry.version))?;
//! }
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use crate::capability::{CapabilityError, Request};

/// The namespace `namespace`, which `function.toml` must grant: `[capabilities] kv = ["…"]`.
pub fn kv(namespace: &str) -> Kv<'_> {
    Kv { namespace }
}

/// A namespace of the store.
#[derive(Clone, Copy, Debug)]
pub struct Kv<'a> {
    namespace: &'a str,
}

crate::record! {
    /// A value, and the version that it was written as.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Entry {
        /// What was put.
        pub value: Vec<u8>,
        /// For [`Put::if_version`].
        pub version: u64,
    }
}

impl Entry {
    /// The value as text, if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.value).ok()
    }
}

crate::record! {
    struct Written {
        version: u64,
    }
}

crate::record! {
    /// Some of a namespace's keys, in the order of their bytes.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Keys {
        /// The keys.
        pub keys: Vec<String>,
        /// Whether there are others behind the last one.
        pub more: bool,
    }
}

crate::record! {
    /// How something is put.
    #[derive(Clone, Debug, Default)]
    pub struct Put {
        ttl_s: Option<f64>,
        if_version: Option<u64>,
    }
}

impl Put {
    /// As it is: whatever is there, for ever.
    pub fn new() -> Put {
        Put::default()
    }

    /// It is gone after this time.
    pub fn ttl(self, time: Duration) -> Put {
        Put { ttl_s: Some(time.as_secs_f64()), ..self }
    }

    /// Only if the entry is at this version, 0: only if there is none. Else the error is `Conflict`.
    pub fn if_version(self, version: u64) -> Put {
        Put { if_version: Some(version), ..self }
    }
}

crate::record! {
    struct Listing {
        limit: Option<u32>,
        after: Option<String>,
    }
}

impl Kv<'_> {
    fn request(&self, name: &'static str, key: &str, more: usize) -> Request {
        Request::new(name, 2 + more).with(self.namespace).with(key)
    }

    /// What is at a key, if anything.
    pub fn get(&self, key: &str) -> Result<Option<Entry>, CapabilityError> {
        self.request("kv.get", key, 0).ask()
    }

    /// Puts a value, whatever was there; its version.
    pub fn put(&self, key: &str, value: impl AsRef<[u8]>) -> Result<u64, CapabilityError> {
        self.put_with(key, value, Put::new())
    }

    /// Puts a value under a condition, or for a time; its version.
    pub fn put_with(&self, key: &str, value: impl AsRef<[u8]>, how: Put) -> Result<u64, CapabilityError> {
        self.request("kv.put", key, 2).with(value.as_ref()).with(&how).ask::<Written>().map(|written| written.version)
    }

    /// Removes what is at a key; whether there was something.
    pub fn delete(&self, key: &str) -> Result<bool, CapabilityError> {
        self.request("kv.delete", key, 0).ask()
    }

    /// Removes it if it is at this version. Else the error is `Conflict`.
    pub fn delete_if(&self, key: &str, version: u64) -> Result<bool, CapabilityError> {
        self.request("kv.delete", key, 1).with(&Put::new().if_version(version)).ask()
    }

    /// The first keys that begin with `prefix`.
    pub fn list(&self, prefix: &str) -> Result<Keys, CapabilityError> {
        self.request("kv.list", prefix, 0).ask()
    }

    /// The first `limit` (1 to 1,000) keys behind `after` that begin with `prefix`.
    pub fn list_after(&self, prefix: &str, after: &str, limit: u32) -> Result<Keys, CapabilityError> {
        let options = Listing { limit: Some(limit), after: Some(after.into()) };
        self.request("kv.list", prefix, 1).with(&options).ask()
    }
}
