//! hello: the smallest function there is. It answers every event, HTTP request or not, with the same text.

use isolet::{http::Response, Context, Result};

fn handle(_event: (), _context: &Context) -> Result<Response> {
    Ok(Response::new(200).text("hello\n"))
}

isolet::handler!(handle);
