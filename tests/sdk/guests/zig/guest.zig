//! What the SDK's tests drive: an event with `op` exercises one part of module isolet, any other is answered with what was seen.

const std = @import("std");
const isolet = @import("isolet");

const Bytes = isolet.Bytes;
const Context = isolet.Context;
const Value = isolet.Value;
const Writer = isolet.Writer;

var frozen: u64 = 0;
var table: []u32 = &.{};
var given: u8 = 0;
var generator: std.Random.DefaultPrng = .init(1);

pub fn init() !void {
    frozen = generator.random().int(u64);
    table = try isolet.allocator.alloc(u32, 1000);
    for (table, 0..) |*slot, n| slot.* = @intCast(n * n);
}

pub fn reseed(entropy: [16]u8) void {
    given = entropy[15];
    generator.seed(std.mem.readInt(u64, entropy[8..16], .little));
}

/// A result that is encoded already.
const Raw = struct {
    writer: Writer,

    pub fn encodeMsgpack(raw: Raw, to: *Writer) Writer.Error!void {
        try to.raw(raw.writer.bytes.items);
    }
};

fn answered(result: anytype) !Raw {
    var to: Writer = .{};
    try to.put(result);
    return .{ .writer = to };
}

pub fn handle(event: Value, context: *Context) !Raw {
    const op = event.get("op").string() orelse return seen(event, context);
    inline for (@typeInfo(operations).@"struct".decl_names) |name| {
        if (std.mem.eql(u8, op, name)) return @field(operations, name)(event, context);
    }
    return context.fail("OpUnknown", "{s}", .{op});
}

fn seen(event: Value, context: *Context) !Raw {
    const client = context.clientContext();
    return answered(.{ .event = event, .context = .{
        .function_name = context.functionName(),
        .function_version = context.functionVersion(),
        .function_arn = context.functionArn(),
        .memory_limit_mb = context.memoryLimitMb(),
        .log_group = context.logGroup(),
        .log_stream = context.logStream(),
        .request_id = context.requestId(),
        .deadline_ms = context.deadlineMs(),
        .entropy = Bytes{ .data = &context.entropy() },
        .trace_id = context.traceId(),
        .client_context = if (client.kind() == .absent) null else client,
    } });
}

const Inner = struct { deep: []const struct { x: ?i64 = null } };

const Typed = struct {
    renamed: i32 = 0,
    small: i8 = 0,
    unsigned: u64 = 0,
    float: f32 = 0,
    three: ?[3]i64 = null,
    pair: ?struct { i64, []const u8 } = null,
    numbers: Bytes = .{ .data = "" },
    color: enum { red, green } = .red,
    optional: ?*const i64 = null,
    anything: Value,
    innermost: ?Inner = null,
};

const Reading = fn (isolet.http.Request, []const u8) error{OutOfMemory}!?[]const u8;

const readers = struct {
    pub fn header(request: isolet.http.Request, name: []const u8) error{OutOfMemory}!?[]const u8 {
        return request.header(name);
    }
    pub fn query(request: isolet.http.Request, name: []const u8) error{OutOfMemory}!?[]const u8 {
        return request.query(name);
    }
    pub fn path_parameter(request: isolet.http.Request, name: []const u8) error{OutOfMemory}!?[]const u8 {
        return request.pathParameter(name);
    }
    pub fn cookie(request: isolet.http.Request, name: []const u8) error{OutOfMemory}!?[]const u8 {
        return request.cookie(name);
    }
    pub fn form(request: isolet.http.Request, name: []const u8) error{OutOfMemory}!?[]const u8 {
        return request.form(name);
    }
};

const operations = struct {
    pub fn recode(event: Value, _: *Context) !Raw {
        const data = event.get("data").bytes() orelse "";
        if (!isolet.valid(data)) return error.MalformedError;
        var to: Writer = .{};
        try again(.{ .data = data }, &to);
        return answered(Bytes{ .data = to.bytes.items });
    }

    /// Takes a value apart and writes it again, key by key.
    fn again(value: Value, to: *Writer) !void {
        switch (value.kind()) {
            .absent => try to.string("absent"),
            .nil => try to.nil(),
            .bool => try to.boolean(value.boolean().?),
            .int => if (value.int(i64)) |number| try to.int(number) else try to.uint(value.int(u64).?),
            .float => try to.float(value.float().?),
            .str => try to.string(value.string().?),
            .bin => try to.binary(value.bytes().?),
            .array => {
                try to.array(value.len());
                var each = value.items();
                while (each.next()) |item| try again(item, to);
            },
            .map => {
                var list: std.ArrayList(Entry) = .empty;
                var each = value.pairs();
                while (each.next()) |pair| try list.append(isolet.allocator, .{ .key = pair.key.?, .value = pair.value });
                std.mem.sort(Entry, list.items, {}, Entry.before);
                try to.map(list.items.len);
                for (list.items) |entry| {
                    try to.string(entry.key);
                    try again(entry.value, to);
                }
            },
        }
    }

    const Entry = struct {
        key: []const u8,
        value: Value,

        fn before(_: void, a: Entry, b: Entry) bool {
            return std.mem.lessThan(u8, a.key, b.key);
        }
    };

    /// Reads bytes that may be anything, in every way there is: what must not happen is a step outside.
    pub fn @"read anyway"(event: Value, _: *Context) !Raw {
        const value: Value = .{ .data = event.get("data").bytes() orelse "" };
        var sum: usize = value.len() + length(value.get("a").string()) + length(value.at(1).bytes());
        var pairs = value.pairs();
        while (pairs.next()) |pair| sum +%= length(pair.key) + pair.value.len();
        var items = value.items();
        while (items.next()) |item| sum +%= @backingInt(item.kind());
        sum +%= @intFromBool(value.whole() != null) + @as(usize, value.int(u32) orelse 0);
        inline for (.{ Typed, []const ?Inner, [2]Bytes, struct { []const u8, f64 }, void, f32, []const []const u8 }) |T| {
            _ = isolet.decode(T, value, isolet.allocator) catch {};
        }
        return answered(sum +% 1 > 0 or sum == std.math.maxInt(usize));
    }

    fn length(text: ?[]const u8) usize {
        return if (text) |there| there.len else 0;
    }

    pub fn typed(event: Value, _: *Context) !Raw {
        return answered(try isolet.decode(Typed, event.get("typed"), isolet.allocator));
    }

    pub fn http(event: Value, _: *Context) !Raw {
        const request = try isolet.decode(isolet.http.Request, event.get("request"), isolet.allocator);
        var to: Writer = .{};
        try to.map(3 + @typeInfo(readers).@"struct".decl_names.len);
        try to.pair("method", request.method());
        try to.pair("path", request.path());
        try to.pair("body", if (request.body()) |body| @as(?Bytes, .{ .data = body }) else null);
        inline for (@typeInfo(readers).@"struct".decl_names) |kind| {
            const names = event.get(kind);
            try to.string(kind);
            try to.map(names.len());
            var each = names.items();
            while (each.next()) |name| try to.pair(name.string().?, try @field(readers, kind)(request, name.string().?));
        }
        return .{ .writer = to };
    }

    pub fn respond(event: Value, _: *Context) !Raw {
        const wanted = event.get("response");
        var headers: std.ArrayList(isolet.http.Header) = .empty;
        var each = wanted.get("headers").pairs();
        while (each.next()) |pair| try headers.append(isolet.allocator, .{ pair.key.?, pair.value.string().? });
        const body = wanted.get("body");
        return answered(isolet.http.Response{
            .status = wanted.get("status").int(u16) orelse 200,
            .headers = headers.items,
            .cookies = try isolet.decode(?[]const []const u8, orNil(wanted.get("cookies")), isolet.allocator) orelse &.{},
            .body = switch (body.kind()) {
                .str => .{ .text = body.string().? },
                .bin => .{ .bytes = body.bytes().? },
                else => .none,
            },
        });
    }

    pub fn capabilities(event: Value, _: *Context) !Raw {
        var bytes: [300]u8 = undefined;
        try isolet.sleep(event.get("sleep_ms").float() orelse 0);
        try isolet.random(&bytes);
        const unknown: i32 = if (isolet.call(Value, .{"none such"})) |_| 0 else |failed| switch (failed) {
            error.UnknownCapability => -2,
            else => return failed,
        };
        return answered(.{ 0, 0, Bytes{ .data = &bytes }, unknown });
    }

    /// Makes the request of `call`, an array as abi.md 5 has it, by the SDK's function that is for it. Answers a result, too.
    pub fn ask(event: Value, _: *Context) !Raw {
        if (asked(event.get("call"))) |ok| return answered(.{ .ok = ok }) else |_| {
            const refusal = isolet.refusal();
            return answered(.{ .@"error" = refusal });
        }
    }

    fn asked(call: Value) !Raw {
        const name = call.at(0).string() orelse "";
        const first = call.at(1).string() orelse "";
        const key = call.at(2).string() orelse "";
        const space = isolet.kv(first);
        const memory = isolet.allocator;
        if (std.mem.eql(u8, name, "kv.get")) {
            const entry = try space.get(key) orelse return answered(null);
            return answered(.{ .value = Bytes{ .data = entry.value }, .version = entry.version });
        }
        if (std.mem.eql(u8, name, "kv.put")) {
            const options = try isolet.decode(?isolet.Kv.PutOptions, orNil(call.at(4)), memory) orelse isolet.Kv.PutOptions{};
            return answered(.{ .version = try space.put(key, call.at(3).bytes() orelse "", options) });
        }
        if (std.mem.eql(u8, name, "kv.delete")) {
            const options = try isolet.decode(?isolet.Kv.DeleteOptions, orNil(call.at(3)), memory) orelse isolet.Kv.DeleteOptions{};
            return answered(try space.delete(key, options));
        }
        if (std.mem.eql(u8, name, "kv.list")) {
            const options = try isolet.decode(?isolet.Kv.ListOptions, orNil(call.at(3)), memory) orelse isolet.Kv.ListOptions{};
            return answered(try space.list(key, options));
        }
        if (std.mem.eql(u8, name, "fetch")) return fetched(call.at(1));
        if (std.mem.eql(u8, name, "invoke")) return answered(try isolet.invoke(Value, first, call.at(2)));
        const secret = try isolet.secret(first);
        return if (std.unicode.utf8ValidateSlice(secret)) answered(secret) else answered(Bytes{ .data = secret });
    }

    fn orNil(value: Value) Value {
        return if (value.kind() == .absent) .{ .data = "\xc0" } else value;
    }

    fn fetched(request: Value) !Raw {
        const redirect = request.get("redirect").string() orelse "";
        const answer = try isolet.fetch(.{
            .url = request.get("url").string() orelse "",
            .method = request.get("method").string(),
            .headers = try isolet.decode(?[]const [2][]const u8, orNil(request.get("headers")), isolet.allocator),
            .body = request.get("body").bytes(),
            .timeout_ms = request.get("timeout_ms").float(),
            .redirect = if (std.mem.eql(u8, redirect, "manual")) .manual else if (redirect.len > 0) .@"error" else null,
        });
        _ = answer.header("Content-Type");
        return answered(.{
            .status = answer.status,
            .url = answer.url,
            .headers = answer.headers,
            .body = Bytes{ .data = answer.body },
        });
    }

    pub fn log(_: Value, _: *Context) !Raw {
        std.log.warn("plain", .{});
        std.log.err("{d} and {s}", .{ 7, "text" });
        const zeros: [1999]u8 = @splat('0');
        std.log.info("{s}1", .{&zeros});
        std.log.scoped(.part).debug("debugged", .{});
        return answered(null);
    }

    pub fn nothing(_: Value, _: *Context) !Raw {
        return answered({});
    }

    pub fn fail(_: Value, context: *Context) !Raw {
        return context.fail("TooSmall", "{d} is too small\nby far", .{7});
    }

    pub fn @"error"(_: Value, _: *Context) !Raw {
        return error.NoWayOn;
    }

    pub fn panic(event: Value, _: *Context) !Raw {
        if (event.get("op").len() > 0) @panic("no way on");
        return answered(null);
    }

    pub fn @"panic at length"(_: Value, _: *Context) !Raw {
        std.debug.panic("{s}", .{try std.mem.concat(isolet.allocator, u8, &@as([3000][]const u8, @splat("é")))});
    }

    pub fn index(event: Value, _: *Context) !Raw {
        const op = event.get("op").string().?;
        return answered(op[op.len]);
    }

    pub fn overflow(event: Value, _: *Context) !Raw {
        const number = event.get("number").int(u8).?;
        return answered(number + 200);
    }

    pub fn @"overflow the stack"(_: Value, _: *Context) !Raw {
        return answered(endless(1));
    }

    fn endless(n: u64) u64 {
        var room: [64]u8 = @splat(@truncate(n));
        std.mem.doNotOptimizeAway(&room);
        return if (n == std.math.maxInt(u64)) 0 else endless(n + 1) + room[@intCast(n % 64)];
    }

    pub fn @"spend all memory"(_: Value, _: *Context) !Raw {
        var count: usize = 0;
        while (true) : (count += 1) @memset(try isolet.allocator.alloc(u8, 1 << 14), 1);
    }

    pub fn draw(_: Value, context: *Context) !Raw {
        return answered([_]u64{ frozen, context.random().int(u64), generator.random().int(u64), context.random().int(u63) });
    }

    pub fn reseeded(_: Value, _: *Context) !Raw {
        return answered(.{ given, table[30] });
    }

    pub fn environment(_: Value, _: *Context) !Raw {
        return answered([_]?[]const u8{ isolet.env("AWS_LAMBDA_FUNCTION_NAME"), isolet.env("NONE_SUCH") });
    }

    pub fn clock(_: Value, context: *Context) !Raw {
        return answered(context.remainingMs());
    }

    pub fn grow(event: Value, _: *Context) !Raw {
        const numbers = try isolet.allocator.alloc(usize, event.get("count").int(usize).?);
        for (numbers, 0..) |*number, n| number.* = n;
        return answered(numbers);
    }
};
