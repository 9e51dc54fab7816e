//! HTTP functions: requests and responses in Lambda's payload format 2.0 (abi.md 2.2 and 3).

use std::borrow::Cow;

use crate::decode::{Decode, DecodeError, Reader};
use crate::encode::{Encode, Writer};
use crate::value::Value;

/// An event that is a request. Of one that is none, all that can be asked for is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    event: Value,
}

impl From<Value> for Request {
    fn from(event: Value) -> Request {
        Request { event }
    }
}

impl Decode for Request {
    fn decode(from: &mut Reader<'_>) -> Result<Request, DecodeError> {
        Value::decode(from).map(Request::from)
    }
}

impl Request {
    /// All of it.
    pub fn event(&self) -> &Value {
        &self.event
    }

    /// Its method. None: the event is no HTTP request.
    pub fn method(&self) -> Option<&str> {
        self.event["requestContext"]["http"]["method"].as_str()
    }

    /// Its path.
    pub fn path(&self) -> Option<&str> {
        self.event["rawPath"].as_str()
    }

    /// A header by its name in any case. Several of one name come as one, joined by commas.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.event["headers"].as_map()?;
        headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?.1.as_str()
    }

    /// A parameter of the query string, decoded.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.event["queryStringParameters"][name].as_str()
    }

    /// What `{name}` stood for in the route that matched.
    pub fn path_parameter(&self, name: &str) -> Option<&str> {
        self.event["pathParameters"][name].as_str()
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.event["cookies"].as_array()?;
        cookies.iter().find_map(|cookie| cookie.as_str()?.strip_prefix(name)?.strip_prefix('='))
    }

    /// The body's bytes, textual or not.
    pub fn body(&self) -> Option<&[u8]> {
        self.event["body"].as_bytes()
    }

    /// A field of a body of type `application/x-www-form-urlencoded`, decoded.
    pub fn form(&self, name: &str) -> Option<String> {
        for pair in self.body()?.split(|byte| *byte == b'&') {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let key = url_decode(halves.next().unwrap_or_default());
            if key == name.as_bytes() {
                let value = url_decode(halves.next().unwrap_or_default());
                return Some(String::from_utf8_lossy(&value).into_owned());
            }
        }
        None
    }
}

/// Text without its %XX and +. What is no escape stays as it is.
fn url_decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') && !text.contains(&b'+') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let digit = |ahead: usize| text.get(at + ahead).and_then(|digit| char::from(*digit).to_digit(16));
        match (text[at], digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high << 4 | low) as u8);
                at += 2;
            }
            (b'+', _, _) => decoded.push(b' '),
            (byte, _, _) => decoded.push(byte),
        }
        at += 1;
    }
    Cow::Owned(decoded)
}

#[derive(Clone, Debug, PartialEq)]
enum Body {
    None,
    Text(String),
    Bytes(Vec<u8>),
}

/// An answer to a request: `Response::new(404).header("x-reason", "none such").text("not found\n")`.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    cookies: Vec<String>,
    body: Body,
}

impl Response {
    /// With this status, and nothing else.
    pub fn new(status: u16) -> Response {
        Response { status, headers: Vec::new(), cookies: Vec::new(), body: Body::None }
    }

    /// And this header, in place of an earlier one of its name.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Response {
        let name = name.into();
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
        self.headers.push((name, value.into()));
        self
    }

    /// And this cookie, whole, as in Set-Cookie: `name=value; Path=/`.
    pub fn cookie(mut self, cookie: impl Into<String>) -> Response {
        self.cookies.push(cookie.into());
        self
    }

    /// With this text as its body, which is `text/plain` unless a header says otherwise.
    pub fn text(self, text: impl Into<String>) -> Response {
        let typed = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let this = if typed { self } else { self.header("content-type", "text/plain; charset=utf-8") };
        this.body(text)
    }

    /// With this text as its body, whatever it is.
    pub fn body(self, text: impl Into<String>) -> Response {
        Response { body: Body::Text(text.into()), ..self }
    }

    /// With these bytes as its body.
    pub fn bytes(self, bytes: impl Into<Vec<u8>>) -> Response {
        Response { body: Body::Bytes(bytes.into()), ..self }
    }
}

impl Encode for Response {
    fn encode(&self, to: &mut Writer) {
        let body = match self.body {
            Body::None => 0,
            Body::Text(_) => 1,
            Body::Bytes(_) => 2,
        };
        to.map(1 + usize::from(!self.headers.is_empty()) + usize::from(!self.cookies.is_empty()) + body);
        to.pair("statusCode", &self.status);
        if !self.headers.is_empty() {
            to.str("headers");
            to.map(self.headers.len());
            for (name, value) in &self.headers {
                to.pair(name, value);
            }
        }
        if !self.cookies.is_empty() {
            to.pair("cookies", &self.cookies);
        }
        match &self.body {
            Body::None => {}
            Body::Text(text) => to.pair("body", text),
            Body::Bytes(bytes) => {
                to.pair("body", bytes);
                // So that the answer is right as JSON too, where the host makes base64 of binary.
                to.pair("isBase64Encoded", &true);
            }
        }
    }
}
