//! HTTP requests to the outside (abi.md 5.3).

use std::time::Duration;

use crate::capability::{CapabilityError, Request as Call};
use crate::encode::{Encode, Writer};

/// GETs `url`, whose host `function.toml` must grant: `[capabilities] fetch = ["…"]`. Any status is an answer.
pub fn fetch(url: &str) -> Result<Response, CapabilityError> {
    Request::new("GET", url).send()
}

/// A request being made: `Request::new("POST", url).header("content-type", "text/plain").body("…").send()?`.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    timeout: Option<Duration>,
    redirect: &'static str,
}

impl Request {
    /// With this method and address, and nothing else.
    pub fn new(method: &str, url: &str) -> Request {
        Request {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: None,
            timeout: None,
            redirect: "follow",
        }
    }

    /// And this header.
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this body.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Request {
        self.body = Some(bytes.into());
        self
    }

    /// `Timeout` if it takes longer; otherwise it may take what is left of the invocation.
    pub fn timeout(mut self, time: Duration) -> Request {
        self.timeout = Some(time);
        self
    }

    /// A redirect is the answer, and not followed.
    pub fn keep_redirects(mut self) -> Request {
        self.redirect = "manual";
        self
    }

    /// A redirect is the error `TooManyRedirects`.
    pub fn refuse_redirects(mut self) -> Request {
        self.redirect = "error";
        self
    }

    /// Sends it and waits for the whole answer.
    pub fn send(&self) -> Result<Response, CapabilityError> {
        Call::new("fetch", 1).with(self).ask()
    }
}

/// Only what is not the host's default.
impl Encode for Request {
    fn encode(&self, to: &mut Writer) {
        let method = Some(&self.method).filter(|method| *method != "GET");
        let headers = Some(&self.headers).filter(|headers| !headers.is_empty());
        let redirect = Some(self.redirect).filter(|redirect| *redirect != "follow");
        let timeout_ms = self.timeout.map(|time| time.as_secs_f64() * 1000.0);
        let there = [method.is_some(), headers.is_some(), self.body.is_some(), redirect.is_some(), timeout_ms.is_some()];
        to.map(1 + there.iter().filter(|there| **there).count());
        to.pair("url", &self.url);
        to.pair_if("method", method);
        to.pair_if("headers", headers);
        to.pair_if("body", self.body.as_ref());
        to.pair_if("redirect", redirect);
        to.pair_if("timeout_ms", timeout_ms);
    }
}

crate::record! {
    /// An answer.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Response {
        /// Its status, whatever it is.
        pub status: u16,
        /// Where it came from, redirects followed.
        pub url: String,
        /// In the order in which they came, names in lower case.
        pub headers: Vec<(String, String)>,
        /// All of it.
        pub body: Vec<u8>,
    }
}

impl Response {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text, if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }
}
