// What the SDK's tests drive: an event with `op` exercises one part of the SDK, any other is answered with what was seen.
import {
  ANY_VERSION,
  Context,
  Failure,
  FetchRequest,
  HttpRequest,
  HttpResponse,
  Kind,
  Result,
  Value,
  call,
  compareBytes,
  error,
  fail,
  fetch,
  handle,
  info,
  invoke,
  kv,
  random,
  secret,
  sleep,
  warn,
} from "isolet";

const frozen = Math.random();

/** Takes a value apart and builds it again, key by key. */
function recoded(value: Value): Value {
  switch (value.kind) {
    case Kind.Bool:
      return Value.of(value.asBool());
    case Kind.Int:
      return Value.of(value.asInt());
    case Kind.Uint:
      return Value.of(value.asUint());
    case Kind.Float:
      return Value.of(value.asFloat());
    case Kind.String:
      return Value.of(value.asString());
    case Kind.Binary:
      return Value.of(value.asBytes());
    case Kind.Array: {
      const made = Value.array();
      for (let i = 0; i < value.length; i++) made.push(recoded(value.at(i)));
      return made;
    }
    case Kind.Map: {
      const keys = value.keys().sort(compareBytes);
      const made = Value.map();
      for (let i = 0; i < keys.length; i++) made.set(keys[i], recoded(value.get(keys[i])));
      return made;
    }
    default:
      return Value.nil();
  }
}

function seen(event: Value, context: Context): Value {
  return Value.map()
    .set("event", event)
    .set(
      "context",
      Value.map()
        .set("function_name", context.functionName)
        .set("function_version", context.functionVersion)
        .set("function_arn", context.functionArn)
        .set("log_group", context.logGroup)
        .set("log_stream", context.logStream)
        .set("request_id", context.requestId)
        .set("trace_id", context.traceId)
        .set("memory_limit_mb", context.memoryLimitMb)
        .set("deadline_ms", context.deadlineMs)
        .set("entropy", context.entropy)
        .set("client_context", context.clientContext),
    );
}

type Read = (request: HttpRequest, name: string) => string | null;

function reads(names: Value, request: HttpRequest, read: Read): Value {
  const made = Value.map();
  for (let i = 0; i < names.length; i++) made.set(names.at(i).asString(), read(request, names.at(i).asString()));
  return made;
}

function readHttp(event: Value): Value {
  const request = new HttpRequest(event.get("request"));
  return Value.map()
    .set("method", request.method)
    .set("path", request.path)
    .set("body", request.body)
    .set("header", reads(event.get("header"), request, (r, name) => r.header(name)))
    .set("query", reads(event.get("query"), request, (r, name) => r.query(name)))
    .set("path_parameter", reads(event.get("path_parameter"), request, (r, name) => r.pathParameter(name)))
    .set("cookie", reads(event.get("cookie"), request, (r, name) => r.cookie(name)))
    .set("form", reads(event.get("form"), request, (r, name) => r.form(name)));
}

function respond(given: Value): Value {
  const status = given.get("status");
  const response = status.isInteger ? new HttpResponse(<i32>status.asInt()) : new HttpResponse();
  const headers = given.get("headers");
  const names = headers.keys();
  for (let i = 0; i < names.length; i++) response.header(names[i], headers.at(i).asString());
  const cookies = given.get("cookies");
  for (let i = 0; i < cookies.length; i++) response.cookie(cookies.at(i).asString());
  const body = given.get("body");
  if (body.kind == Kind.String) response.text(body.asString());
  else if (body.kind == Kind.Binary) response.bytes(body.asBytes());
  return response.value;
}

function capabilities(sleepMs: f64): Value {
  const slept = sleep(sleepMs);
  const bytes = random(300);
  const unknown = call(Value.array().push("none such")).failure;
  return Value.array()
    .push(slept.ok ? 0 : -1)
    .push(bytes.ok ? 0 : -1)
    .push(bytes.value)
    .push(unknown === null ? "" : unknown.message);
}

function failed(failure: Failure | null): Value {
  const given = failure!;
  const error = Value.map().set("type", given.type).set("message", given.message);
  const cause = given.cause;
  if (cause !== null) error.set("cause", Value.map().set("type", cause.type).set("message", cause.message));
  return Value.map().set("error", error);
}

function result<T>(asked: Result<T>): Value {
  return asked.ok ? Value.map().set("ok", asked.value) : failed(asked.failure);
}

/** Makes the request of `call`, an array as abi.md 5 has it, by the function that is for it. Answers a result, too. */
function ask(request: Value): Value {
  const name = request.at(0).asString();
  const first = request.at(1).asString();
  const second = request.at(2);
  const options = request.at(name == "kv.put" ? 4 : 3);
  const ifVersion = options.get("if_version").asInt(ANY_VERSION);
  if (name == "kv.get") {
    const asked = kv(first).get(second.asString());
    if (!asked.ok) return failed(asked.failure);
    const entry = asked.value;
    const ok = entry.found ? Value.map().set("value", entry.value).set("version", entry.version) : Value.nil();
    return Value.map().set("ok", ok);
  }
  if (name == "kv.put") {
    const asked = kv(first).put(second.asString(), request.at(3).asBytes(), ifVersion, options.get("ttl_s").asFloat());
    if (!asked.ok) return failed(asked.failure);
    return Value.map().set("ok", Value.map().set("version", asked.value));
  }
  if (name == "kv.delete") return result(kv(first).delete(second.asString(), ifVersion));
  if (name == "kv.list") {
    const asked = kv(first).list(second.asString(), options.get("after").asString(), <i32>options.get("limit").asInt());
    if (!asked.ok) return failed(asked.failure);
    return Value.map().set("ok", Value.map().set("keys", asked.value.keys).set("more", asked.value.more));
  }
  if (name == "fetch") return fetched(request.at(1));
  if (name == "invoke") return result(invoke(first, second));
  if (name == "secrets.get") return result(secret(first));
  fail("NoFunction", "there is no function for " + name);
  return Value.nil();
}

function fetched(given: Value): Value {
  const request = new FetchRequest(given.get("url").asString());
  request.method = given.get("method").asString("GET");
  request.redirect = given.get("redirect").asString("follow");
  request.timeoutMs = given.get("timeout_ms").asFloat();
  if (given.get("body").kind == Kind.Binary) request.body = given.get("body").asBytes();
  const headers = given.get("headers");
  for (let i = 0; i < headers.length; i++) request.header(headers.at(i).at(0).asString(), headers.at(i).at(1).asString());
  const asked = fetch(request);
  if (!asked.ok) return failed(asked.failure);
  const answer = asked.value;
  answer.header("Content-Type");
  return Value.map().set(
    "ok",
    Value.map()
      .set("status", answer.status)
      .set("url", answer.url)
      .set("headers", answer.headers)
      .set("body", answer.body),
  );
}

/** Of every type that a Value can be made of. */
function made(): Value {
  const counts = new Map<string, i32>();
  counts.set("a", 1);
  counts.set("b", -2);
  const lists = new Map<string, string[]>();
  lists.set("x", ["1", "2"]);
  const absent: string | null = null;
  const bytes: Uint8Array | null = Uint8Array.wrap(String.UTF8.encode("hi"));
  return Value.map()
    .set("numbers", [1, 2, 3])
    .set("floats", [1.5, 2.5])
    .set("nested", [["a"], ["b", "c"]])
    .set("map", counts)
    .set("lists", lists)
    .set("null", absent)
    .set("bytes", bytes)
    .set("values", [Value.of(1), Value.of("two")])
    .set("u64", u64.MAX_VALUE)
    .set("i8", <i8>-8)
    .set("f32", <f32>0.5)
    .set("bool", true)
    .set("bool", false);
}

handle((event: Value, context: Context): Value => {
  const op = event.get("op").asString();
  if (!op.length) return seen(event, context);
  if (op == "recode") {
    const decoded = Value.decode(event.get("data").asBytes());
    if (!decoded.ok) fail(decoded.failure!.type, decoded.failure!.message);
    return Value.of(recoded(decoded.value).encode());
  }
  if (op == "read anyway") return Value.of(Value.decode(event.get("data").asBytes()).ok || true);
  if (op == "http") return readHttp(event);
  if (op == "respond") return respond(event.get("response"));
  if (op == "capabilities") return capabilities(event.get("sleep_ms").asFloat());
  if (op == "ask") return ask(event.get("call"));
  if (op == "log") {
    warn("plain");
    error("7 and text");
    info("1".padStart(2000, "0"));
    console.log("printed");
    return Value.nil();
  }
  if (op == "nothing") return Value.nil();
  if (op == "fail") fail("TooSmall", "7 is too small\nby far");
  if (op == "throw") throw new Error("no way on");
  if (op == "bounds") return event.get("list").at(0).isNil ? Value.of(new Array<i32>(1)[<i32>event.length]) : Value.nil();
  if (op == "assert") assert(event.length == 99, "no such length");
  if (op == "unwrapped") return kv("none").get("k").value.found ? Value.nil() : Value.nil();
  if (op == "grow") {
    const made = Value.array();
    for (let i = 0; i < <i32>event.get("count").asInt(); i++) made.push(i);
    return made;
  }
  if (op == "garbage") {
    let kept = "";
    for (let i = 0; i < <i32>event.get("count").asInt(); i++) kept = "x".repeat(10_000) + i.toString();
    return Value.of(kept.length);
  }
  if (op == "json") return Value.of(event.get("value").toString());
  if (op == "parse") {
    const parsed = Value.parse(event.get("text").asString());
    return parsed.ok ? parsed.value : Value.of(parsed.failure!.message);
  }
  if (op == "of") return made();
  if (op == "not text") return Value.of("a" + String.fromCharCode(0xd800) + "b");
  if (op == "clock") return Value.array().push(Date.now()).push(context.remainingMs).push(performance.now() > 0);
  if (op == "draw") return Value.array().push(frozen).push(Math.random()).push(Mathf.random()).push(Math.random());
  fail("OpUnknown", op);
  return Value.nil();
});
