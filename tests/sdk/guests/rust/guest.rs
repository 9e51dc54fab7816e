//! What the SDK's tests drive: an event with `op` exercises one part of crate isolet, any other is answered with what was
//! seen.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use isolet::kv::{List, Put};
use isolet::{bail, http, map, record, rng, CapabilityError, Context, ErrorKind, Global, Map, Result, Value};

static FROZEN: Global<u64> = Global::new();

thread_local! {
    static GIVEN: Cell<u8> = Cell::new(0);
}

fn prepare() {
    FROZEN.set(rng::u64());
    rng::on_reseed(|entropy| GIVEN.with(|given| given.set(entropy[15])));
}

record! {
    struct Inner {
        deep: Vec<BTreeMap<String, i64>>,
    }
}

record! {
    struct Typed {
        renamed_here as "renamed": i32 = 0,
        small: i8 = 0,
        unsigned: u64 = 0,
        float: f32 = 0.0,
        three: Option<(i64, i64, i64)>,
        numbers: Vec<u8> = Vec::new(),
        labels: HashMap<String, String> = HashMap::new(),
        optional: Option<Box<i64>>,
        anything: Value,
        innermost: Option<Inner>,
    }
}

#[derive(Debug)]
struct TooSmall(i32);

impl fmt::Display for TooSmall {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} is too small\nby far", self.0)
    }
}

impl std::error::Error for TooSmall {}

fn handle(event: Value, context: &Context) -> Result<Value> {
    let op = match event["op"].as_str() {
        Some(op) => op,
        None => return Ok(seen(event, context)),
    };
    Ok(match op {
        "recode" => isolet::encode(&isolet::decode::<Value>(event["data"].as_bytes().unwrap_or_default())?).into(),
        "read anyway" => read_anyway(event["data"].as_bytes().unwrap_or_default()),
        "typed" => isolet::decode(&isolet::encode(&isolet::decode::<Typed>(&isolet::encode(&event["typed"]))?))?,
        "http" => read_http(&event),
        "respond" => respond(&event["response"])?,
        "capabilities" => capabilities(&event)?,
        "ask" => match ask(&event["call"]) {
            Ok(ok) => map! { "ok" => ok },
            Err(error) => map! { "error" => map! {
                "type" => error.type_name(),
                "message" => error.message(),
                "cause" => error.cause().map(|cause| map! { "type" => cause.kind(), "message" => cause.message() }),
            } },
        },
        "log" => {
            isolet::warn!("plain");
            isolet::error!("{} and {}", 7, "text");
            isolet::info!("{:02000}", 1);
            isolet::log(isolet::Level::Debug, format_args!("debugged"));
            Value::Nil
        }
        "nothing" => Value::Nil,
        "fail" => return Err(TooSmall(7).into()),
        "bail" => bail!("Odd", "{} is odd", 7),
        "parse" => Value::from("x".parse::<i32>()?),
        "panic" => panic!("no way on, {}", op),
        "panic with nothing to say" => std::panic::panic_any(7),
        "panic at length" => panic!("{}", "é".repeat(100_000)),
        "index" => Value::from(op.as_bytes()[op.len()] as i64),
        "overflow the stack" => Value::from(endless(1)),
        "spend all memory" => {
            let much: Vec<Vec<u8>> = (0..100_000).map(|n| vec![n as u8 | 1; 1 << 14]).collect();
            Value::from(much.len())
        }
        "draw" => [*FROZEN.get(), rng::u64(), rng::below(1 << 60), (rng::f64() * 1e15) as u64].iter().copied().collect(),
        "given" => Value::from(GIVEN.with(Cell::get)),
        "shuffle" => {
            let mut items: Vec<u64> = (0..100).collect();
            rng::shuffle(&mut items);
            items.into_iter().collect()
        }
        "environment" => map! { "name" => isolet::env("AWS_LAMBDA_FUNCTION_NAME"), "none" => isolet::env("NONE_SUCH") },
        "clock" => Value::from(context.remaining().as_secs()),
        "grow" => (0..event["count"].as_u64().unwrap_or(0)).collect(),
        _ => bail!("OpUnknown", "{}", op),
    })
}

/// Not a loop for the compiler: each call has a text of its own, which is still wanted afterwards.
fn endless(n: u64) -> u64 {
    let text = n.to_string();
    if n == u64::MAX {
        return 0;
    }
    endless(n + 1) + text.len() as u64
}

fn seen(event: Value, context: &Context) -> Value {
    map! {
        "event" => event,
        "context" => map! {
            "function_name" => context.function_name(),
            "function_version" => context.function_version(),
            "function_arn" => context.function_arn(),
            "memory_limit_mb" => context.memory_limit_mb(),
            "log_group" => context.log_group(),
            "log_stream" => context.log_stream(),
            "request_id" => context.request_id(),
            "deadline_ms" => context.deadline_ms(),
            "entropy" => context.entropy().to_vec(),
            "trace_id" => context.trace_id(),
            "client_context" => context.client_context(),
        },
    }
}

/// Reads bytes that may be anything into every kind of type.
fn read_anyway(data: &[u8]) -> Value {
    let _ = isolet::decode::<Typed>(data);
    let _ = isolet::decode::<Vec<Option<Inner>>>(data);
    let _ = isolet::decode::<HashMap<String, Vec<u8>>>(data);
    let _ = isolet::decode::<(String, f64)>(data);
    let _ = isolet::decode::<()>(data);
    let _ = isolet::Reader::new(data).skip();
    let value = isolet::decode::<Value>(data).unwrap_or_default();
    let sum = value["a"][1].as_str().map_or(0, str::len) + value[1].as_bytes().map_or(0, <[u8]>::len);
    Value::Bool(sum + 1 > 0)
}

fn read_http(event: &Value) -> Value {
    let request = http::Request::from(event["request"].clone());
    let reads = |kind: &str, read: &dyn Fn(&str) -> Option<String>| -> Value {
        let names = event[kind].as_array().unwrap_or_default().iter().filter_map(Value::as_str);
        Value::Map(names.map(|name| (String::from(name), Value::from(read(name)))).collect())
    };
    map! {
        "method" => request.method(),
        "path" => request.path(),
        "body" => request.body(),
        "header" => reads("header", &|name| request.header(name).map(String::from)),
        "query" => reads("query", &|name| request.query(name).map(String::from)),
        "path_parameter" => reads("path_parameter", &|name| request.path_parameter(name).map(String::from)),
        "cookie" => reads("cookie", &|name| request.cookie(name).map(String::from)),
        "form" => reads("form", &|name| request.form(name)),
    }
}

fn respond(given: &Value) -> Result<Value> {
    let mut response = http::Response::new(given["status"].as_u64().unwrap_or(200) as u16);
    for (name, value) in given["headers"].as_map().unwrap_or(&Map::new()) {
        response = response.header(name, value.as_str().unwrap_or_default());
    }
    for cookie in given["cookies"].as_array().unwrap_or_default() {
        response = response.cookie(cookie.as_str().unwrap_or_default());
    }
    response = match &given["body"] {
        Value::Str(text) => response.body(text),
        Value::Bin(bytes) => response.bytes(bytes.clone()),
        _ => response,
    };
    Ok(isolet::decode(&isolet::encode(&response))?)
}

fn capabilities(event: &Value) -> Result<Value> {
    isolet::sleep(Duration::from_secs_f64(event["sleep_ms"].as_f64().unwrap_or(0.0) / 1000.0))?;
    let mut bytes = vec![0; 300];
    isolet::random(&mut bytes)?;
    let unknown = match isolet::call::<Value>(&("none such",)) {
        Err(error) if error.kind() == ErrorKind::UnknownCapability => -2,
        _ => 0,
    };
    Ok(vec![Value::from(0), Value::from(0), Value::from(bytes), Value::from(unknown)].into())
}

/// Makes the request of `call`, an array as abi.md 5 has it, by what the crate has for it.
fn ask(call: &Value) -> Result<Value, CapabilityError> {
    let text = |at: usize| call[at].as_str().unwrap_or_default();
    let options = if text(0) == "kv.put" { &call[4] } else { &call[3] };
    let version = options["if_version"].as_u64();
    let space = isolet::kv(text(1));
    Ok(match text(0) {
        "kv.get" => space.get(text(2))?.map(|entry| map! { "value" => entry.value, "version" => entry.version }).into(),
        "kv.put" => {
            let mut how = version.map_or(Put::new(), |version| Put::new().if_version(version));
            if let Some(seconds) = options["ttl_s"].as_f64() {
                how = how.ttl(Duration::from_secs_f64(seconds));
            }
            map! { "version" => space.put_with(text(2), call[3].as_bytes().unwrap_or_default(), how)? }
        }
        "kv.delete" => match version {
            Some(version) => space.delete_if(text(2), version)?.into(),
            None => space.delete(text(2))?.into(),
        },
        "kv.list" => {
            let mut which = List::new();
            if let Some(limit) = options["limit"].as_u64() {
                which = which.limit(limit as u32);
            }
            if let Some(after) = options["after"].as_str() {
                which = which.after(after);
            }
            let listed = space.list_with(text(2), which)?;
            map! { "keys" => listed.keys.into_iter().collect::<Value>(), "more" => listed.more }
        }
        "fetch" => fetch(&call[1])?,
        "invoke" => isolet::invoke(text(1), &call[2])?,
        _ => match String::from_utf8(isolet::secret_bytes(text(1))?) {
            Ok(text) => text.into(),
            Err(bytes) => bytes.into_bytes().into(),
        },
    })
}

fn fetch(given: &Value) -> Result<Value, CapabilityError> {
    let mut request = isolet::fetch::Request::new(
        given["method"].as_str().unwrap_or("GET"),
        given["url"].as_str().unwrap_or_default(),
    );
    for pair in given["headers"].as_array().unwrap_or_default() {
        request = request.header(pair[0].as_str().unwrap_or_default(), pair[1].as_str().unwrap_or_default());
    }
    if let Some(body) = given["body"].as_bytes() {
        request = request.body(body);
    }
    if let Some(ms) = given["timeout_ms"].as_f64() {
        request = request.timeout(Duration::from_secs_f64(ms / 1000.0));
    }
    request = match given["redirect"].as_str() {
        Some("manual") => request.keep_redirects(),
        Some("error") => request.refuse_redirects(),
        _ => request,
    };
    let answer = request.send()?;
    let _ = (answer.header("Content-Type"), answer.text());
    let pairs = answer.headers.iter().map(|(name, value)| [name.as_str(), value].iter().copied().collect::<Value>());
    Ok(map! { "status" => answer.status, "url" => answer.url.as_str(), "headers" => pairs.collect::<Value>(), "body" => answer.body })
}

isolet::handler!(handle, init = prepare);
