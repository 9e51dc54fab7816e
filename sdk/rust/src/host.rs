//! The imports. Natively, for a function's own tests, the operating system serves what it can.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What `isolet.call` answers when it fails (abi.md 4).
pub(crate) type Status = i32;

#[cfg(target_arch = "wasm32")]
mod imports {
    #[link(wasm_import_module = "isolet")]
    extern "C" {
        pub fn call(ptr: *const u8, len: u32) -> i32;
        pub fn take(ptr: *mut u8) -> i32;
        pub fn fail(ptr: *const u8, len: u32);
        pub fn log(level: u32, ptr: *const u8, len: u32);
    }

    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    extern "C" {
        pub fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> i32;
        pub fn environ_sizes_get(count: *mut u32, bytes: *mut u32) -> i32;
        pub fn environ_get(pointers: *mut *mut u8, bytes: *mut u8) -> i32;
    }
}

/// Makes a request, waits, and answers the reply.
#[cfg(target_arch = "wasm32")]
pub(crate) fn call(request: &[u8]) -> Result<Vec<u8>, Status> {
    unsafe {
        let len = imports::call(request.as_ptr(), request.len() as u32);
        if len < 0 {
            return Err(len);
        }
        let mut reply = vec![0; len as usize];
        match imports::take(reply.as_mut_ptr()) {
            0 => Ok(reply),
            status => Err(status),
        }
    }
}

/// Ends the invocation with an outcome that is an error.
#[cfg(target_arch = "wasm32")]
pub(crate) fn fail(outcome: &[u8]) {
    unsafe { imports::fail(outcome.as_ptr(), outcome.len() as u32) }
}

#[cfg(target_arch = "wasm32")]
pub(crate) fn log(level: u32, line: &str) {
    unsafe { imports::log(level, line.as_ptr(), line.len() as u32) }
}

/// The time of day. std's own is not there on `wasm32-unknown-unknown`.
pub fn now() -> SystemTime {
    #[cfg(target_arch = "wasm32")]
    {
        let mut nanoseconds = 0;
        unsafe { imports::clock_time_get(0, 1, &mut nanoseconds) };
        UNIX_EPOCH + Duration::from_nanos(nanoseconds)
    }
    #[cfg(not(target_arch = "wasm32"))]
    {
        let _: (SystemTime, Duration) = (UNIX_EPOCH, Duration::ZERO);
        SystemTime::now()
    }
}

/// A variable of the function's environment. std's own is not there on `wasm32-unknown-unknown`.
pub fn env(name: &str) -> Option<String> {
    #[cfg(target_arch = "wasm32")]
    {
        let (mut count, mut len) = (0, 0);
        unsafe { imports::environ_sizes_get(&mut count, &mut len) };
        let mut pointers = vec![std::ptr::null_mut(); count as usize + 1];
        let mut bytes = vec![0; len as usize + 1];
        unsafe { imports::environ_get(pointers.as_mut_ptr(), bytes.as_mut_ptr()) };
        let mut entries = bytes.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
        entries.find_map(|entry| entry.strip_prefix(name)?.strip_prefix('=').map(String::from))
    }
    #[cfg(not(target_arch = "wasm32"))]
    std::env::var(name).ok()
}

#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn call(request: &[u8]) -> Result<Vec<u8>, Status> {
    use crate::{decode, encode, Value};
    let request: Value = decode(request).map_err(|_| -1)?;
    match (request[0].as_str(), request[1].as_f64()) {
        (Some("sleep"), Some(ms)) if (0.0..=900_000.0).contains(&ms) => {
            std::thread::sleep(Duration::from_secs_f64(ms / 1000.0));
            Ok(encode(&()))
        }
        (Some("random"), Some(len)) if (0.0..=65_536.0).contains(&len) => {
            use std::io::Read;
            let mut bytes = vec![0; len as usize];
            let source = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
            source.map(|()| encode(&bytes)).map_err(|_| -6)
        }
        (Some("sleep" | "random") | None, _) => Err(-1),
        _ => Err(-2),
    }
}

#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn fail(outcome: &[u8]) {
    log(5, &format!("{:?}", crate::decode::<crate::Value>(outcome)));
}

#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn log(level: u32, line: &str) {
    let names = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
    eprintln!("{} {}", names.get(level as usize).unwrap_or(&"INFO"), line);
}
