//! The imports, memory, and what std has no way to ask a WebAssembly host for. Natively (`zig test`), next to nothing.

const std = @import("std");
const builtin = @import("builtin");

pub const is_guest = builtin.cpu.arch == .wasm32;

const imports = struct {
    extern "isolet" fn call(ptr: [*]const u8, len: u32) i32;
    extern "isolet" fn take(ptr: [*]u8) i32;
    extern "isolet" fn fail(ptr: [*]const u8, len: u32) void;
    extern "isolet" fn log(level: u32, ptr: [*]const u8, len: u32) void;
};

const wasi = struct {
    extern "wasi_snapshot_preview1" fn clock_time_get(clock: u32, precision: u64, time: *u64) u16;
    extern "wasi_snapshot_preview1" fn environ_sizes_get(count: *u32, bytes: *u32) u16;
    extern "wasi_snapshot_preview1" fn environ_get(pointers: [*][*:0]u8, bytes: [*]u8) u16;
};

var arena: std.heap.ArenaAllocator = .init(if (is_guest) std.heap.wasm_allocator else std.heap.page_allocator);

pub const allocator = arena.allocator();

/// A reply's bytes, or a negative status (abi.md 4).
pub const Answer = union(enum) { reply: []const u8, status: i32 };

/// Makes a request, and waits.
pub fn call(request: []const u8) error{OutOfMemory}!Answer {
    if (!is_guest) return .{ .status = -2 };
    const len = imports.call(request.ptr, @intCast(request.len));
    if (len < 0) return .{ .status = len };
    // One more: nothing at all would lie nowhere.
    const room = try allocator.alloc(u8, @as(usize, @intCast(len)) + 1);
    const status = imports.take(room.ptr);
    return if (status < 0) .{ .status = status } else .{ .reply = room[0 .. room.len - 1] };
}

/// Ends the invocation with an outcome that is an error.
pub fn fail(outcome: []const u8) noreturn {
    if (is_guest) imports.fail(outcome.ptr, @intCast(outcome.len));
    @trap();
}

pub const Level = enum(u32) { trace, debug, info, warn, err, fatal };

/// One line of the invocation's log.
pub fn log(level: Level, line: []const u8) void {
    if (is_guest) imports.log(@backingInt(level), line.ptr, @intCast(line.len)) else std.debug.print("{s}\n", .{line});
}

/// What std.log writes with.
pub fn logFn(
    comptime level: std.log.Level,
    comptime scope: @EnumLiteral(),
    comptime format: []const u8,
    arguments: anytype,
) void {
    const prefix = if (scope == .default) "" else "(" ++ @tagName(scope) ++ ") ";
    const ours: Level = switch (level) {
        .err => .err,
        .warn => .warn,
        .info => .info,
        .debug => .debug,
    };
    var room: [512]u8 = undefined;
    const line = std.fmt.bufPrint(&room, prefix ++ format, arguments) catch
        std.fmt.allocPrint(allocator, prefix ++ format, arguments) catch return;
    log(ours, line);
}

/// Unix time in nanoseconds.
pub fn now() u64 {
    if (!is_guest) return 0;
    var nanoseconds: u64 = 0;
    _ = wasi.clock_time_get(0, 1, &nanoseconds);
    return nanoseconds;
}

/// A variable of the function's environment; null if there is none, or no memory to read it.
pub fn env(name: []const u8) ?[]const u8 {
    if (!is_guest) return null;
    var count: u32 = 0;
    var len: u32 = 0;
    _ = wasi.environ_sizes_get(&count, &len);
    const pointers = allocator.alloc([*:0]u8, count) catch return null;
    const bytes = allocator.alloc(u8, len) catch return null;
    _ = wasi.environ_get(pointers.ptr, bytes.ptr);
    for (pointers) |pointer| {
        const entry = std.mem.span(pointer);
        if (entry.len > name.len and std.mem.startsWith(u8, entry, name) and entry[name.len] == '=')
            return entry[name.len + 1 ..];
    }
    return null;
}
