//! wordcount: the words of a text, and the most frequent ones of them.

const std = @import("std");
const isolet = @import("isolet");

const top_default = 10;
const top_max = 1000;

const Counted = struct {
    word: []const u8,
    count: usize,

    fn before(_: void, a: Counted, b: Counted) bool {
        return if (a.count != b.count) a.count > b.count else std.mem.lessThan(u8, a.word, b.word);
    }
};

const Summary = struct { words: usize, distinct: usize, top: []const Counted };

pub fn handle(event: isolet.Value, context: *isolet.Context) !Summary {
    const text = event.get("text").string() orelse return context.fail("InvalidEvent", "`text` must be a string", .{});
    const asked = event.get("top");
    const top = switch (asked.kind()) {
        .absent, .nil => top_default,
        else => asked.int(usize) orelse 0,
    };
    if (top < 1 or top > top_max)
        return context.fail("InvalidEvent", "`top` must be an integer from 1 to {d}", .{top_max});

    const small = try std.ascii.allocLowerString(isolet.allocator, text);
    var counts: std.StringHashMapUnmanaged(usize) = .empty;
    var words: usize = 0;
    var at: usize = 0;
    while (at < small.len) {
        const start = at;
        while (at < small.len and ofWord(small[at])) at += 1;
        if (at > start) {
            const entry = try counts.getOrPutValue(isolet.allocator, small[start..at], 0);
            entry.value_ptr.* += 1;
            words += 1;
        } else at += 1;
    }

    var ordered: std.ArrayList(Counted) = .empty;
    var each = counts.iterator();
    while (each.next()) |entry|
        try ordered.append(isolet.allocator, .{ .word = entry.key_ptr.*, .count = entry.value_ptr.* });
    std.mem.sort(Counted, ordered.items, {}, Counted.before);
    return .{ .words = words, .distinct = counts.count(), .top = ordered.items[0..@min(top, ordered.items.len)] };
}

/// Letters and digits of ASCII, and all that is beyond it.
fn ofWord(byte: u8) bool {
    return std.ascii.isAlphanumeric(byte) or byte >= 0x80;
}
