//! The root of a function's module: the exports, around `handle` of the function's own file (isolet.zig says what that declares).

const std = @import("std");
const function = @import("function");
const isolet = @import("isolet");

const host = isolet.host;

pub const std_options: std.Options = if (@hasDecl(function, "std_options"))
    function.std_options
else
    .{ .logFn = host.logFn, .log_level = .debug };

pub const panic = std.debug.FullPanic(panicked);

/// What the host asks for when the snapshot is made (abi.md 1.1): an event that fits costs no call for a buffer.
const input_bytes = 65536;
var input: [input_bytes]u8 = undefined;
var larger: []u8 = &.{};

export fn isolet_buffer(len: u32) u32 {
    if (len <= input_bytes) return @intCast(@intFromPtr(&input));
    larger = host.allocator.alloc(u8, len) catch return 0;
    return @intCast(@intFromPtr(larger.ptr));
}

export fn isolet_init() void {
    if (@hasDecl(function, "init")) function.init() catch |failed| {
        var context: isolet.Context = .{ .envelope = .absent };
        host.fail(described(&context, failed) catch "\x81\xa5error\x80");
    };
}

export fn isolet_handle(ptr: u32, len: u32) u64 {
    const bytes = outcome(@as([*]const u8, @ptrFromInt(ptr))[0..len]) catch
        "\x81\xa5error\x82\xa4type\xb3Runtime.OutOfMemory\xa7message\xd9\x35" ++
            "the outcome does not fit in memory: raise `memory_mb`";
    return @as(u64, @intFromPtr(bytes.ptr)) << 32 | bytes.len;
}

const Handler = @typeInfo(@TypeOf(function.handle)).@"fn";
const Event = Handler.param_types[0] orelse isolet.Value;

fn outcome(envelope: []const u8) ![]const u8 {
    const value: isolet.Value = .{ .data = envelope };
    var context: isolet.Context = .{ .envelope = value };
    const event = value.get("event");
    if (event.kind() == .absent) return described(&context, error.MalformedError);
    if (@hasDecl(function, "reseed")) function.reseed(context.entropy());
    const given = isolet.decode(Event, event, host.allocator) catch |failed| return described(&context, failed);
    const result = function.handle(given, &context);
    var to: isolet.Writer = .{};
    try to.raw("\x81\xa2ok");
    if (@typeInfo(@TypeOf(result)) == .error_union) {
        if (result) |answer| try to.put(answer) else |failed| return described(&context, failed);
    } else try to.put(result);
    return to.bytes.items;
}

/// The outcome of an error: its name, and what whoever failed said of it.
fn described(context: *isolet.Context, failed: anyerror) ![]const u8 {
    const refusal = isolet.refusal();
    const failure: isolet.Context.Failure = if (failed == error.Failed and context.failure != null)
        context.failure.?
    else if (failed == error.TypeError)
        .{ .type = "TypeError", .message = isolet.misfit() }
    else if (std.mem.eql(u8, @errorName(failed), refusal.type) or failed == error.OtherRefusal)
        .{ .type = refusal.type, .message = refusal.message }
    else if (failed == error.OutOfMemory)
        .{ .type = "Runtime.OutOfMemory", .message = "memory is at its limit: raise `memory_mb`" }
    else
        .{ .type = @errorName(failed), .message = "" };
    return isolet.encode(.{ .@"error" = .{ .type = failure.type, .message = failure.message } });
}

/// Without unwinding nobody can go on from here, and memory may be what is missing: the outcome is written where it stands.
var last_words: [4096]u8 = undefined;

fn panicked(message: []const u8, _: ?usize) noreturn {
    var fixed: std.heap.FixedBufferAllocator = .init(&last_words);
    var to: isolet.Writer = .{ .allocator = fixed.allocator() };
    to.bytes = std.ArrayList(u8).initCapacity(fixed.allocator(), last_words.len - 16) catch @trap();
    var cut = @min(message.len, 2048);
    while (cut > 0 and cut < message.len and message[cut] & 0xc0 == 0x80) cut -= 1;
    const text = if (std.unicode.utf8ValidateSlice(message[0..cut])) message[0..cut] else "";
    to.put(.{ .@"error" = .{ .type = "Panic", .message = text } }) catch @trap();
    host.fail(to.bytes.items);
}
