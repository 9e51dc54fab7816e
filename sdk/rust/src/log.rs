use std::fmt;

/// A log line's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

/// One line of the invocation's log; [`info!`](crate::info!) and its likes are shorter.
pub fn log(level: Level, line: fmt::Arguments<'_>) {
    match line.as_str() {
        Some(text) => crate::host::log(level as u32, text),
        None => crate::host::log(level as u32, &line.to_string()),
    }
}

/// A line of the log, formatted as by `println!`.
#[macro_export]
macro_rules! trace {
    ($($line:tt)+) => { $crate::log($crate::Level::Trace, ::std::format_args!($($line)+)) };
}

/// A line of the log, formatted as by `println!`.
#[macro_export]
macro_rules! debug {
    ($($line:tt)+) => { $crate::log($crate::Level::Debug, ::std::format_args!($($line)+)) };
}

/// A line of the log, formatted as by `println!`.
#[macro_export]
macro_rules! info {
    ($($line:tt)+) => { $crate::log($crate::Level::Info, ::std::format_args!($($line)+)) };
}

/// A line of the log, formatted as by `println!`.
#[macro_export]
macro_rules! warn {
    ($($line:tt)+) => { $crate::log($crate::Level::Warn, ::std::format_args!($($line)+)) };
}

/// A line of the log, formatted as by `println!`.
#[macro_export]
macro_rules! error {
    ($($line:tt)+) => { $crate::log($crate::Level::Error, ::std::format_args!($($line)+)) };
}
