//! counter: adds `by` to the counter `name` and answers its new value. Others may write it, too: the value goes back only if
//! nobody did since it was read, or else it is read again.

use isolet::kv::{Kv, Put};
use isolet::{bail, record, Context, ErrorKind, Result, Value};

const ATTEMPTS: u32 = 16;
const NAME_CHARS_MAX: usize = 64;

record! {
    /// Of any type, so that what does not fit is refused in our own words.
    struct Event {
        name: Value,
        by: Value,
    }
}

record! {
    struct Counter {
        name: String,
        value: i64,
    }
}

fn handle(event: Event, _context: &Context) -> Result<Counter> {
    let name = match event.name {
        Value::Str(name) if (1..=NAME_CHARS_MAX).contains(&name.len()) => name,
        _ => bail!("InvalidEvent", "`name` must be a string of 1 to {NAME_CHARS_MAX} characters"),
    };
    let by = match event.by {
        Value::Nil => 1,
        Value::Int(by) => by,
        _ => bail!("InvalidEvent", "`by` must be an integer"),
    };
    let counters = isolet::kv("counters");
    for _ in 0..ATTEMPTS {
        if let Some(value) = add(&counters, &name, by)? {
            return Ok(Counter { name, value });
        }
    }
    bail!("Contended", "{name}: {ATTEMPTS} attempts, and another writer was first each time")
}

/// The new value; None if another writer was first.
fn add(counters: &Kv, name: &str, by: i64) -> Result<Option<i64>> {
    let entry = counters.get(name)?;
    let version = entry.as_ref().map_or(0, |entry| entry.version);
    let value: i64 = match entry {
        None => 0,
        Some(entry) => match entry.text().and_then(|text| text.parse().ok()) {
            Some(number) => number,
            None => bail!("NotACounter", "{name} holds no number"),
        },
    };
    let value = value + by;
    match counters.put_with(name, value.to_string(), Put::new().if_version(version)) {
        Ok(_) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
        Err(error) => Err(error.into()),
    }
}

isolet::handler!(handle);
