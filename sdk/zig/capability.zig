//! What the host does for a function that asks (abi.md 5): sleep, random, kv, fetch, invoke, secrets.
//!
//! Each refusal is an error of its own; `refusal` has the host's words for the last one, and they become the outcome's message if
//! the handler returns the error.

const std = @import("std");

const host = @import("host.zig");
const msgpack = @import("msgpack.zig");
const Value = msgpack.Value;
const Writer = msgpack.Writer;

const Refused = error{
    /// The function has no grant for this; the message says which line of function.toml gives it.
    NotGranted,
    /// An argument that is of another type, or not what is allowed.
    Invalid,
    TooLarge,
    /// A quota, or a limit on the calls of one invocation.
    LimitExceeded,
    /// kv: the entry is not at the version that was named.
    Conflict,
    /// fetch: an address that may not be reached, whatever is granted.
    Refused,
    Timeout,
    ConnectionFailed,
    TooManyRedirects,
    UnknownFunction,
    Throttled,
    TooDeep,
    /// invoke: the function ran and failed; `refusal().cause` is its own error.
    FunctionError,
    UnknownSecret,
};

pub const CapabilityError = Refused || error{
    /// The host has no such capability.
    UnknownCapability,
    /// Not while a snapshot is made, and not a request of this size.
    Unavailable,
    /// The host itself could not do it; it may be tried again.
    HostFailed,
    /// The reply is not what it should be.
    UnexpectedReply,
    /// Of a type that this version does not know: `refusal().type`.
    OtherRefusal,
    OutOfMemory,
};

/// What the host said of a request that it did not serve.
pub const Refusal = struct {
    type: []const u8 = "",
    message: []const u8 = "",
    cause: ?Cause = null,

    pub const Cause = struct { type: []const u8 = "Error", message: []const u8 = "" };
};

var last: Refusal = .{};

/// Of the last request that failed.
pub fn refusal() Refusal {
    return last;
}

fn refuse(failed: CapabilityError, message: []const u8) CapabilityError {
    last = .{ .type = @errorName(failed), .message = message };
    return failed;
}

fn ofStatus(status: i32) CapabilityError {
    return switch (status) {
        -1 => refuse(error.Invalid, "malformed request (status -1)"),
        -2 => refuse(error.UnknownCapability, "the host has no such capability (status -2)"),
        -3 => refuse(error.NotGranted, "not granted (status -3)"),
        -4 => refuse(error.Unavailable, "refused: too large, or made while a snapshot is made (status -4)"),
        -6 => refuse(error.HostFailed, "the host could not do it; try again (status -6)"),
        else => refuse(error.OtherRefusal, "a status that is not known"),
    };
}

fn ofError(said: Value) CapabilityError {
    const found = msgpack.decode(Refusal, said, host.allocator) catch return unexpected();
    last = found;
    inline for (@typeInfo(Refused).error_set.error_names.?) |name| {
        if (std.mem.eql(u8, name, found.type)) return @field(Refused, name);
    }
    return error.OtherRefusal;
}

fn unexpected() CapabilityError {
    return refuse(error.UnexpectedReply, "the host's reply is not what it should be");
}

fn decoded(comptime T: type, value: Value) CapabilityError!T {
    if (T == Value and value.whole() == null) return unexpected();
    return msgpack.decode(T, value, host.allocator) catch |failed| switch (failed) {
        error.OutOfMemory => error.OutOfMemory,
        else => unexpected(),
    };
}

/// Any request, a tuple of a name and arguments, and the whole reply: for capabilities that this SDK does not know.
pub fn call(comptime T: type, request: anytype) CapabilityError!T {
    const answer = try host.call(try msgpack.encode(request));
    return switch (answer) {
        .status => |status| ofStatus(status),
        .reply => |reply| decoded(T, .{ .data = reply }),
    };
}

/// Asks, and takes the reply's `ok`.
fn ask(comptime T: type, request: anytype) CapabilityError!T {
    const reply = try call(Value, request);
    var each = reply.pairs();
    const pair = each.next() orelse return unexpected();
    const key = pair.key orelse return unexpected();
    if (reply.len() != 1) return unexpected();
    if (std.mem.eql(u8, key, "error")) return ofError(pair.value);
    if (!std.mem.eql(u8, key, "ok")) return unexpected();
    return decoded(T, pair.value);
}

/// Waits, at most 900,000 ms; fuel does not pass.
pub fn sleep(milliseconds: f64) CapabilityError!void {
    _ = try call(Value, .{ "sleep", milliseconds });
}

/// Fills `into`, at most 65,536 bytes, with fresh random bytes that are fit for keys.
pub fn random(into: []u8) CapabilityError!void {
    const drawn = try call(msgpack.Bytes, .{ "random", into.len });
    if (drawn.data.len != into.len) return unexpected();
    @memcpy(into, drawn.data);
}

// ── kv ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// The namespace `namespace` of the store that outlives invocations. function.toml grants it: [capabilities] kv = ["…"].
pub fn kv(namespace: []const u8) Kv {
    return .{ .namespace = namespace };
}

pub const Kv = struct {
    namespace: []const u8,

    pub const Entry = struct { value: []const u8, version: u64 };

    pub const PutOptions = struct {
        /// The entry is gone after so many seconds.
        ttl_s: ?f64 = null,
        /// Only if the entry is at this version, 0: only if there is none. Else error.Conflict.
        if_version: ?u64 = null,
    };

    pub const DeleteOptions = struct { if_version: ?u64 = null };

    pub const ListOptions = struct {
        /// 1 to 1,000; null: 100.
        limit: ?u32 = null,
        /// Only keys behind this one: the last of a former list.
        after: ?[]const u8 = null,
    };

    pub const Keys = struct { keys: []const []const u8, more: bool };

    /// What is at `key`, if anything.
    pub fn get(space: Kv, key: []const u8) CapabilityError!?Entry {
        const Found = struct { value: Value, version: u64 };
        const found = try ask(?Found, .{ "kv.get", space.namespace, key }) orelse return null;
        if (found.value.kind() != .bin) return unexpected();
        return .{ .value = found.value.bytes() orelse return unexpected(), .version = found.version };
    }

    /// Puts a value; its version.
    pub fn put(space: Kv, key: []const u8, value: []const u8, options: PutOptions) CapabilityError!u64 {
        const Written = struct { version: u64 };
        const bytes: msgpack.Bytes = .{ .data = value };
        const plain = options.ttl_s == null and options.if_version == null;
        const written = if (plain)
            try ask(Written, .{ "kv.put", space.namespace, key, bytes })
        else
            try ask(Written, .{ "kv.put", space.namespace, key, bytes, options });
        return written.version;
    }

    /// Removes what is at `key`; whether there was something.
    pub fn delete(space: Kv, key: []const u8, options: DeleteOptions) CapabilityError!bool {
        if (options.if_version == null) return ask(bool, .{ "kv.delete", space.namespace, key });
        return ask(bool, .{ "kv.delete", space.namespace, key, options });
    }

    /// Keys that begin with `prefix`, in the order of their bytes.
    pub fn list(space: Kv, prefix: []const u8, options: ListOptions) CapabilityError!Keys {
        if (options.limit == null and options.after == null) return ask(Keys, .{ "kv.list", space.namespace, prefix });
        return ask(Keys, .{ "kv.list", space.namespace, prefix, options });
    }
};

// ── fetch ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

pub const FetchRequest = struct {
    url: []const u8,
    method: ?[]const u8 = null,
    headers: ?[]const [2][]const u8 = null,
    body: ?[]const u8 = null,
    /// error.Timeout if it takes longer; null: what is left of the invocation.
    timeout_ms: ?f64 = null,
    redirect: ?enum { follow, manual, @"error" } = null,

    pub fn encodeMsgpack(request: FetchRequest, to: *Writer) Writer.Error!void {
        try to.put(.{
            .url = request.url,
            .method = optional([]const u8, request.method),
            .headers = optional([]const [2][]const u8, request.headers),
            .body = optional(msgpack.Bytes, if (request.body) |body| .{ .data = body } else null),
            .timeout_ms = optional(f64, request.timeout_ms),
            .redirect = optional([]const u8, if (request.redirect) |redirect| @tagName(redirect) else null),
        });
    }

    fn optional(comptime T: type, value: ?T) ?T {
        return value;
    }
};

pub const FetchResponse = struct {
    /// Any status is an answer, also 404 and 500.
    status: u16,
    /// Where it came from, redirects followed.
    url: []const u8,
    /// In the order in which they came, names in lower case.
    headers: []const [2][]const u8,
    body: []const u8,

    /// The first header of this name, in any case.
    pub fn header(response: FetchResponse, name: []const u8) ?[]const u8 {
        for (response.headers) |pair| if (std.ascii.eqlIgnoreCase(pair[0], name)) return pair[1];
        return null;
    }
};

/// An HTTP request to the outside. function.toml grants its host: [capabilities] fetch = ["…"].
pub fn fetch(request: FetchRequest) CapabilityError!FetchResponse {
    const Answer = struct { status: u16, url: []const u8, headers: []const [2][]const u8, body: Value };
    const answer = try ask(Answer, .{ "fetch", request });
    const body = if (answer.body.kind() == .bin) answer.body.bytes() else null;
    return .{
        .status = answer.status,
        .url = answer.url,
        .headers = answer.headers,
        .body = body orelse return unexpected(),
    };
}

// ── invoke, secrets ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// The result, as a T, of another function, which is given `payload` as its event. `function` is a name, or name:qualifier.
pub fn invoke(comptime T: type, function: []const u8, payload: anytype) CapabilityError!T {
    return ask(T, .{ "invoke", function, payload });
}

/// A value that the operator keeps, read anew by each call: text, or any bytes.
pub fn secret(name: []const u8) CapabilityError![]const u8 {
    const value = try ask(Value, .{ "secrets.get", name });
    return value.bytes() orelse unexpected();
}
