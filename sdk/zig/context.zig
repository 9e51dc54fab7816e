const std = @import("std");

const host = @import("host.zig");
const msgpack = @import("msgpack.zig");
const Value = msgpack.Value;

/// What the host says of this invocation (abi.md 2.1). What is not asked for is not read.
pub const Context = struct {
    envelope: Value,
    /// Seeded when it is first asked for: who never draws does not pay for finding the entropy.
    generator: ?std.Random.DefaultPrng = null,
    failure: ?Failure = null,

    pub const Failure = struct { type: []const u8, message: []const u8 };

    /// Memory that lives until the invocation ends.
    pub const allocator = host.allocator;

    /// An entry by its name in abi.md.
    pub fn get(context: *const Context, key: []const u8) Value {
        return context.envelope.get("context").get(key);
    }

    fn text(context: *const Context, key: []const u8) []const u8 {
        return context.get(key).string() orelse "";
    }

    pub fn requestId(context: *const Context) []const u8 {
        return context.text("request_id");
    }

    pub fn functionName(context: *const Context) []const u8 {
        return context.text("function_name");
    }

    pub fn functionVersion(context: *const Context) []const u8 {
        return context.text("function_version");
    }

    pub fn functionArn(context: *const Context) []const u8 {
        return context.text("function_arn");
    }

    pub fn memoryLimitMb(context: *const Context) u32 {
        return context.get("memory_limit_mb").int(u32) orelse 0;
    }

    pub fn logGroup(context: *const Context) []const u8 {
        return context.text("log_group");
    }

    pub fn logStream(context: *const Context) []const u8 {
        return context.text("log_stream");
    }

    /// Unix time in milliseconds at which the invocation is stopped.
    pub fn deadlineMs(context: *const Context) u64 {
        return context.get("deadline_ms").int(u64) orelse 0;
    }

    /// What is left until then.
    pub fn remainingMs(context: *const Context) u64 {
        return context.deadlineMs() -| host.now() / std.time.ns_per_ms;
    }

    /// Sixteen bytes, fresh in every invocation.
    pub fn entropy(context: *const Context) [16]u8 {
        const bytes = context.get("entropy").bytes() orelse "";
        return if (bytes.len == 16) bytes[0..16].* else @splat(0);
    }

    /// The caller's X-Amzn-Trace-Id, if any.
    pub fn traceId(context: *const Context) ?[]const u8 {
        return context.get("trace_id").string();
    }

    /// The caller's X-Amz-Client-Context; absent if there was none.
    pub fn clientContext(context: *const Context) Value {
        return context.get("client_context");
    }

    /// Numbers at random, of a generator that was seeded from `entropy`. Not for keys: `isolet.random` is.
    pub fn random(context: *Context) std.Random {
        if (context.generator == null)
            context.generator = .init(std.mem.readInt(u64, context.entropy()[0..8], .little));
        return context.generator.?.random();
    }

    /// The outcome becomes an error of this type and message: `return context.fail("TooSmall", "{d} is too small", .{n})`.
    pub fn fail(context: *Context, kind: []const u8, comptime format: []const u8, arguments: anytype) error{Failed} {
        const message = std.fmt.allocPrint(allocator, format, arguments) catch "";
        context.failure = .{ .type = kind, .message = message };
        return error.Failed;
    }
};
