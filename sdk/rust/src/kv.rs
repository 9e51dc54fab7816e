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
use crate::encode::Encode;

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
    #[derive(Clone, Debug, Default, PartialEq)]
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
    /// Which keys are listed.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct List {
        limit: Option<u32>,
        after: Option<String>,
    }
}

impl List {
    /// The first 100.
    pub fn new() -> List {
        List::default()
    }

    /// So many of them: 1 to 1,000.
    pub fn limit(self, keys: u32) -> List {
        List { limit: Some(keys), ..self }
    }

    /// Only keys behind this one: the last of a former list.
    pub fn after(self, key: &str) -> List {
        List { after: Some(key.into()), ..self }
    }
}

impl Kv<'_> {
    /// A request about a key; `options` only if any is set.
    fn request<T: Encode + Default + PartialEq>(
        &self,
        name: &'static str,
        key: &str,
        value: Option<&[u8]>,
        options: &T,
    ) -> Request {
        let optional = *options != T::default();
        let request = Request::new(name, 2 + usize::from(value.is_some()) + usize::from(optional));
        let request = request.with(self.namespace).with(key);
        let request = value.into_iter().fold(request, |request, value| request.with(value));
        if optional {
            request.with(options)
        } else {
            request
        }
    }

    /// What is at a key, if anything.
    pub fn get(&self, key: &str) -> Result<Option<Entry>, CapabilityError> {
        self.request("kv.get", key, None, &Put::new()).ask()
    }

    /// Puts a value, whatever was there; its version.
    pub fn put(&self, key: &str, value: impl AsRef<[u8]>) -> Result<u64, CapabilityError> {
        self.put_with(key, value, Put::new())
    }

    /// Puts a value under a condition, or for a time; its version.
    pub fn put_with(&self, key: &str, value: impl AsRef<[u8]>, how: Put) -> Result<u64, CapabilityError> {
        self.request("kv.put", key, Some(value.as_ref()), &how).ask::<Written>().map(|written| written.version)
    }

    /// Removes what is at a key; whether there was something.
    pub fn delete(&self, key: &str) -> Result<bool, CapabilityError> {
        self.request("kv.delete", key, None, &Put::new()).ask()
    }

    /// Removes it if it is at this version. Else the error is `Conflict`.
    pub fn delete_if(&self, key: &str, version: u64) -> Result<bool, CapabilityError> {
        self.request("kv.delete", key, None, &Put::new().if_version(version)).ask()
    }

    /// The first keys that begin with `prefix`.
    pub fn list(&self, prefix: &str) -> Result<Keys, CapabilityError> {
        self.list_with(prefix, List::new())
    }

    /// Others of them, or more.
    pub fn list_with(&self, prefix: &str, which: List) -> Result<Keys, CapabilityError> {
        self.request("kv.list", prefix, None, &which).ask()
    }
}
