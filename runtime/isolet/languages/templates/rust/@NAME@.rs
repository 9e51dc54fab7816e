use std::cell::Cell;

use isolet::{http, record, Context, Result, Value};

thread_local! {
    static GREETINGS: Cell<u32> = Cell::new(0);
}

/// Runs once, at deployment: what it fills, every invocation finds filled.
fn prepare() {
    GREETINGS.with(|greetings| greetings.set(1));
}

record! {
    struct Greeting {
        hello: String,
        greetings: u32,
    }
}

/// Answers {"hello": name}. `name` is in the event, or in the query string of an HTTP request.
fn handle(event: Value, context: &Context) -> Result<Greeting> {
    let request = http::Request::from(event);
    let name = match request.method() {
        Some(_) => request.query("name"),
        None => request.event()["name"].as_str(),
    };
    let hello = String::from(name.unwrap_or("world"));
    isolet::info!("greeting {} for {}", hello, context.request_id());
    Ok(Greeting { hello, greetings: GREETINGS.with(|greetings| greetings.replace(greetings.get() + 1)) })
}

isolet::handler!(handle, init = prepare);
