//! counter: adds `by` to the counter `name` and answers its new value. Others may write it, too: the value goes back only if
//! nobody did since it was read, or else it is read again.

const std = @import("std");
const isolet = @import("isolet");

const attempts = 16;
const name_chars_max = 64;

/// Of any type, so that what does not fit is refused in our own words.
const Event = struct { name: isolet.Value, by: isolet.Value };

const Counter = struct { name: []const u8, value: i64 };

pub fn handle(event: Event, context: *isolet.Context) !Counter {
    const name = event.name.string() orelse "";
    if (name.len == 0 or name.len > name_chars_max)
        return context.fail("InvalidEvent", "`name` must be a string of 1 to {d} characters", .{name_chars_max});
    const by = event.by.int(i64) orelse switch (event.by.kind()) {
        .absent, .nil => 1,
        else => return context.fail("InvalidEvent", "`by` must be an integer", .{}),
    };
    for (0..attempts) |_| {
        const value = add(name, by) catch |failed| switch (failed) {
            error.Conflict => continue,
            error.NotACounter => return context.fail("NotACounter", "{s} holds no number", .{name}),
            else => return failed,
        };
        return .{ .name = name, .value = value };
    }
    return context.fail("Contended", "{s}: {d} attempts, and another writer was first each time", .{ name, attempts });
}

/// The new value. error.Conflict: another writer was first.
fn add(name: []const u8, by: i64) !i64 {
    const counters = isolet.kv("counters");
    var value = by;
    var version: u64 = 0;
    if (try counters.get(name)) |entry| {
        value += std.fmt.parseInt(i64, entry.value, 10) catch return error.NotACounter;
        version = entry.version;
    }
    const text = try std.fmt.allocPrint(isolet.allocator, "{d}", .{value});
    _ = try counters.put(name, text, .{ .if_version = version });
    return value;
}
