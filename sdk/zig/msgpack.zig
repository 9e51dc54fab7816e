//! msgpack as the ABI has it: a view of bytes, a writer, and both for Zig's own types.
//!
//! Laws:
//! - The bytes may be anyone's: a length is believed only as far as there are bytes, and nothing recurses into them but
//!   `decode`, which no type of finite depth can be made to do without end.
//! - A `Value` is looked into when it is asked; `valid` looks at all of it.

const std = @import("std");
const host = @import("host.zig");

const Allocator = std.mem.Allocator;

pub const Kind = enum { absent, nil, bool, int, float, str, bin, array, map };

/// Nesting that `valid` accepts.
pub const depth_max = 512;

/// A value's first bytes, taken apart.
const Head = struct {
    kind: Kind,
    /// Bytes of text and binary, items of an array, pairs of a map.
    count: u32 = 0,
    /// A scalar: of an integer all 64 bits, of a float its 64-bit form.
    bits: u64 = 0,
    negative: bool = false,
    body: []const u8,

    /// Null where no whole head begins; for text and binary, also where their bytes are not all there.
    fn read(data: []const u8) ?Head {
        if (data.len == 0) return null;
        const first = data[0];
        const body = data[1..];
        const head: Head = switch (first) {
            0x00...0x7f => .{ .kind = .int, .bits = first, .body = body },
            0x80...0x8f => .{ .kind = .map, .count = first & 0x0f, .body = body },
            0x90...0x9f => .{ .kind = .array, .count = first & 0x0f, .body = body },
            0xa0...0xbf => .{ .kind = .str, .count = first & 0x1f, .body = body },
            0xc0 => .{ .kind = .nil, .body = body },
            0xc1, 0xc7...0xc9, 0xd4...0xd8 => return null,
            0xc2, 0xc3 => .{ .kind = .bool, .bits = first & 1, .body = body },
            0xc4...0xc6 => sized(.bin, body, @as(u4, 1) << @intCast(first - 0xc4)) orelse return null,
            0xca, 0xcb => float(body, if (first == 0xca) 4 else 8) orelse return null,
            0xcc...0xcf => unsigned(body, @as(u4, 1) << @intCast(first - 0xcc)) orelse return null,
            0xd0...0xd3 => signed(body, @as(u4, 1) << @intCast(first - 0xd0)) orelse return null,
            0xd9...0xdb => sized(.str, body, @as(u4, 1) << @intCast(first - 0xd9)) orelse return null,
            0xdc, 0xdd => sized(.array, body, if (first == 0xdc) 2 else 4) orelse return null,
            0xde, 0xdf => sized(.map, body, if (first == 0xde) 2 else 4) orelse return null,
            0xe0...0xff => .{
                .kind = .int,
                .bits = @bitCast(@as(i64, @as(i8, @bitCast(first)))),
                .negative = true,
                .body = body,
            },
        };
        const has_bytes = head.kind == .str or head.kind == .bin;
        return if (has_bytes and head.body.len < head.count) null else head;
    }

    fn number(body: []const u8, wide: u4) ?u64 {
        if (body.len < wide) return null;
        var value: u64 = 0;
        for (body[0..wide]) |byte| value = value << 8 | byte;
        return value;
    }

    fn sized(kind: Kind, body: []const u8, wide: u4) ?Head {
        const count = number(body, wide) orelse return null;
        return .{ .kind = kind, .count = @intCast(count), .body = body[wide..] };
    }

    fn float(body: []const u8, wide: u4) ?Head {
        const bits = number(body, wide) orelse return null;
        const doubled: f64 = if (wide == 4) @as(f32, @bitCast(@as(u32, @intCast(bits)))) else @bitCast(bits);
        return .{ .kind = .float, .bits = @bitCast(doubled), .body = body[wide..] };
    }

    fn unsigned(body: []const u8, wide: u4) ?Head {
        const bits = number(body, wide) orelse return null;
        return .{ .kind = .int, .bits = bits, .body = body[wide..] };
    }

    fn signed(body: []const u8, wide: u4) ?Head {
        const bits = number(body, wide) orelse return null;
        const shift: u6 = @intCast(64 - 8 * @as(u7, wide));
        const value: i64 = @as(i64, @bitCast(bits << shift)) >> shift;
        return .{ .kind = .int, .bits = @bitCast(value), .negative = value < 0, .body = body[wide..] };
    }
};

/// What is behind the value at the first of `data`; null if no whole one begins there. Nesting is counted, not recursed into;
/// each pending value needs a byte, so a lying head is refused at once.
fn skip(data: []const u8) ?[]const u8 {
    var rest = data;
    var pending: u64 = 1;
    while (pending > 0) {
        const head = Head.read(rest) orelse return null;
        rest = head.body;
        pending -= 1;
        switch (head.kind) {
            .str, .bin => rest = rest[head.count..],
            .array => pending += head.count,
            .map => pending += 2 * @as(u64, head.count),
            else => {},
        }
        if (pending > rest.len) return null;
    }
    return rest;
}

/// One value, still encoded: `data` begins with it and may go on behind it. Empty for what is absent.
pub const Value = struct {
    data: []const u8,

    pub const absent: Value = .{ .data = "" };

    pub fn kind(value: Value) Kind {
        return if (Head.read(value.data)) |found| found.kind else .absent;
    }

    fn head(value: Value, wanted: Kind) ?Head {
        const found = Head.read(value.data) orelse return null;
        return if (found.kind == wanted) found else null;
    }

    pub fn isNil(value: Value) bool {
        return value.kind() == .nil;
    }

    pub fn boolean(value: Value) ?bool {
        return (value.head(.bool) orelse return null).bits != 0;
    }

    /// An integer that fits T.
    pub fn int(value: Value, comptime T: type) ?T {
        const found = value.head(.int) orelse return null;
        return if (found.negative) std.math.cast(T, @as(i64, @bitCast(found.bits))) else std.math.cast(T, found.bits);
    }

    /// A float or an integer: JSON does not tell 1 from 1.0.
    pub fn float(value: Value) ?f64 {
        const found = Head.read(value.data) orelse return null;
        return switch (found.kind) {
            .float => @bitCast(found.bits),
            .int => if (found.negative)
                @floatFromInt(@as(i64, @bitCast(found.bits)))
            else
                @floatFromInt(found.bits),
            else => null,
        };
    }

    pub fn string(value: Value) ?[]const u8 {
        const found = value.head(.str) orelse return null;
        return found.body[0..found.count];
    }

    /// The bytes of binary, or of text: a body is either.
    pub fn bytes(value: Value) ?[]const u8 {
        const found = Head.read(value.data) orelse return null;
        return if (found.kind == .str or found.kind == .bin) found.body[0..found.count] else null;
    }

    /// Items of an array, pairs of a map, bytes of text or binary; 0 for anything else.
    pub fn len(value: Value) usize {
        return if (Head.read(value.data)) |found| found.count else 0;
    }

    /// The value of `key` in a map; of the first one, should it be there twice.
    pub fn get(value: Value, key: []const u8) Value {
        var each = value.pairs();
        while (each.next()) |pair| {
            if (pair.key) |name| if (std.mem.eql(u8, name, key)) return pair.value;
        }
        return absent;
    }

    pub fn at(value: Value, index: usize) Value {
        var each = value.items();
        var left = index;
        while (each.next()) |item| : (left -= 1) {
            if (left == 0) return item;
        }
        return absent;
    }

    /// Walks an array: `var each = value.items(); while (each.next()) |item| …`. Ends early where the bytes are malformed.
    pub fn items(value: Value) Items {
        const found = value.head(.array) orelse return .{ .rest = "", .left = 0 };
        return .{ .rest = found.body, .left = found.count };
    }

    /// Walks a map: `while (each.next()) |pair|`, pair.key and pair.value.
    pub fn pairs(value: Value) Pairs {
        const found = value.head(.map) orelse return .{ .rest = "", .left = 0 };
        return .{ .rest = found.body, .left = found.count };
    }

    /// Its own bytes, without what is behind it; null if it is not whole.
    pub fn whole(value: Value) ?[]const u8 {
        const rest = skip(value.data) orelse return null;
        return value.data[0 .. value.data.len - rest.len];
    }
};

pub const Items = struct {
    rest: []const u8,
    left: u32,

    pub fn next(each: *Items) ?Value {
        if (each.left == 0) return null;
        const rest = skip(each.rest) orelse {
            each.left = 0;
            return null;
        };
        defer each.rest = rest;
        each.left -= 1;
        return .{ .data = each.rest[0 .. each.rest.len - rest.len] };
    }
};

/// `key` is null for one that is no text, which the ABI has not.
pub const Pair = struct { key: ?[]const u8, value: Value };

pub const Pairs = struct {
    rest: []const u8,
    left: u32,

    pub fn next(each: *Pairs) ?Pair {
        if (each.left == 0) return null;
        each.left -= 1;
        const key: Value = .{ .data = each.rest };
        const middle = skip(each.rest) orelse return each.end();
        const rest = skip(middle) orelse return each.end();
        defer each.rest = rest;
        return .{ .key = key.string(), .value = .{ .data = middle[0 .. middle.len - rest.len] } };
    }

    fn end(each: *Pairs) ?Pair {
        each.left = 0;
        return null;
    }
};

/// Whether `data` is exactly one value as the ABI wants them: nothing behind it, no extension types, keys and texts of UTF-8, no
/// deeper than `depth_max`.
pub fn valid(data: []const u8) bool {
    const Open = struct { left: u64, map: bool };
    var open: [depth_max + 1]Open = undefined;
    var depth: usize = 0;
    var rest = data;
    open[0] = .{ .left = 1, .map = false };
    while (true) {
        while (open[depth].left == 0) {
            if (depth == 0) return rest.len == 0;
            depth -= 1;
        }
        const head = Head.read(rest) orelse return false;
        const is_key = open[depth].map and open[depth].left % 2 == 0;
        if (is_key and head.kind != .str) return false;
        open[depth].left -= 1;
        rest = head.body;
        switch (head.kind) {
            .str, .bin => {
                if (head.kind == .str and !std.unicode.utf8ValidateSlice(rest[0..head.count])) return false;
                rest = rest[head.count..];
            },
            .array, .map => {
                if (depth == depth_max) return false;
                depth += 1;
                const is_map = head.kind == .map;
                open[depth] = .{ .left = @as(u64, head.count) << @intFromBool(is_map), .map = is_map };
                if (open[depth].left > rest.len) return false;
            },
            else => {},
        }
    }
}

// ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Bytes that are no text, in an event or a result.
pub const Bytes = struct { data: []const u8 };

/// Writes msgpack, each value in its shortest form (floats in 64 bits).
pub const Writer = struct {
    bytes: std.ArrayList(u8) = .empty,
    allocator: Allocator = host.allocator,

    pub const Error = Allocator.Error;

    /// Bytes as they are: for what is encoded already.
    pub fn raw(to: *Writer, bytes: []const u8) Error!void {
        try to.bytes.appendSlice(to.allocator, bytes);
    }

    fn head(to: *Writer, first: u8, number: u64, comptime wide: u4) Error!void {
        var room: [1 + wide]u8 = undefined;
        room[0] = first;
        inline for (0..wide) |i| room[1 + i] = @truncate(number >> 8 * (wide - 1 - i));
        try to.raw(&room);
    }

    pub fn nil(to: *Writer) Error!void {
        try to.head(0xc0, 0, 0);
    }

    pub fn boolean(to: *Writer, value: bool) Error!void {
        try to.head(if (value) 0xc3 else 0xc2, 0, 0);
    }

    pub fn uint(to: *Writer, value: u64) Error!void {
        switch (value) {
            0...0x7f => try to.head(@intCast(value), 0, 0),
            0x80...0xff => try to.head(0xcc, value, 1),
            0x100...0xffff => try to.head(0xcd, value, 2),
            0x1_0000...0xffff_ffff => try to.head(0xce, value, 4),
            else => try to.head(0xcf, value, 8),
        }
    }

    pub fn int(to: *Writer, value: i64) Error!void {
        const bits: u64 = @bitCast(value);
        if (value >= 0) return to.uint(bits);
        if (value >= -32) return to.head(@truncate(bits), 0, 0);
        if (value >= std.math.minInt(i8)) return to.head(0xd0, bits, 1);
        if (value >= std.math.minInt(i16)) return to.head(0xd1, bits, 2);
        if (value >= std.math.minInt(i32)) return to.head(0xd2, bits, 4);
        return to.head(0xd3, bits, 8);
    }

    pub fn float(to: *Writer, value: f64) Error!void {
        try to.head(0xcb, @bitCast(value), 8);
    }

    /// `text` is UTF-8: the host refuses an outcome with any other.
    pub fn string(to: *Writer, text: []const u8) Error!void {
        switch (text.len) {
            0...31 => try to.head(0xa0 | @as(u8, @intCast(text.len)), 0, 0),
            32...0xff => try to.head(0xd9, text.len, 1),
            0x100...0xffff => try to.head(0xda, text.len, 2),
            else => try to.head(0xdb, text.len, 4),
        }
        try to.raw(text);
    }

    pub fn binary(to: *Writer, bytes: []const u8) Error!void {
        switch (bytes.len) {
            0...0xff => try to.head(0xc4, bytes.len, 1),
            0x100...0xffff => try to.head(0xc5, bytes.len, 2),
            else => try to.head(0xc6, bytes.len, 4),
        }
        try to.raw(bytes);
    }

    /// `count` values must follow.
    pub fn array(to: *Writer, count: usize) Error!void {
        switch (count) {
            0...15 => try to.head(0x90 | @as(u8, @intCast(count)), 0, 0),
            16...0xffff => try to.head(0xdc, count, 2),
            else => try to.head(0xdd, count, 4),
        }
    }

    /// `count` pairs must follow: a string, then a value.
    pub fn map(to: *Writer, count: usize) Error!void {
        switch (count) {
            0...15 => try to.head(0x80 | @as(u8, @intCast(count)), 0, 0),
            16...0xffff => try to.head(0xde, count, 2),
            else => try to.head(0xdf, count, 4),
        }
    }

    /// Any of Zig's values: void and null as nil; numbers, booleans; `[]const u8` and string literals as text, `Bytes` as binary;
    /// slices, arrays and tuples as arrays; structs as maps, in which fields that are null are left out if null is their default;
    /// enums by name; a `Value` as it is; what has `pub fn encodeMsgpack(self, *Writer) !void` by that.
    pub fn put(to: *Writer, value: anytype) Error!void {
        const T = @TypeOf(value);
        if (T == Value) return to.raw(value.whole() orelse "\xc0");
        if (T == Bytes) return to.binary(value.data);
        switch (@typeInfo(T)) {
            .void, .null => try to.nil(),
            .bool => try to.boolean(value),
            .int, .comptime_int => if (value < 0) try to.int(@intCast(value)) else try to.uint(@intCast(value)),
            .float, .comptime_float => try to.float(value),
            .optional => if (value) |there| try to.put(there) else try to.nil(),
            .@"enum" => try to.string(@tagName(value)),
            .array => try to.sequence(&value),
            .pointer => |pointer| switch (pointer.size) {
                .one => if (comptime isText(pointer.child)) try to.string(value) else try to.put(value.*),
                .slice => if (pointer.child == u8) try to.string(value) else try to.sequence(value),
                else => @compileError("isolet cannot encode a " ++ @typeName(T)),
            },
            .@"struct" => |info| if (@hasDecl(T, "encodeMsgpack"))
                try value.encodeMsgpack(to)
            else if (info.is_tuple) {
                try to.array(info.field_names.len);
                inline for (info.field_names) |name| try to.put(@field(value, name));
            } else try to.fields(value),
            else => @compileError("isolet cannot encode a " ++ @typeName(T)),
        }
    }

    fn isText(comptime T: type) bool {
        return @typeInfo(T) == .array and @typeInfo(T).array.child == u8;
    }

    fn sequence(to: *Writer, list: anytype) Error!void {
        try to.array(list.len);
        for (list) |item| try to.put(item);
    }

    fn fields(to: *Writer, value: anytype) Error!void {
        const info = @typeInfo(@TypeOf(value)).@"struct";
        var count: usize = 0;
        inline for (info.field_names, info.field_types, info.field_attrs) |name, T, attributes| {
            if (!leftOut(T, attributes, @field(value, name))) count += 1;
        }
        try to.map(count);
        inline for (info.field_names, info.field_types, info.field_attrs) |name, T, attributes| {
            if (!leftOut(T, attributes, @field(value, name))) {
                try to.string(name);
                try to.put(@field(value, name));
            }
        }
    }

    fn leftOut(comptime T: type, comptime attributes: anytype, value: T) bool {
        if (@typeInfo(T) != .optional or attributes.default_value_ptr == null) return false;
        const default: T = comptime attributes.defaultValue(T).?;
        return default == null and value == null;
    }

    /// A pair of a map whose head was written.
    pub fn pair(to: *Writer, key: []const u8, value: anytype) Error!void {
        try to.string(key);
        try to.put(value);
    }

    /// What was written, to be read.
    pub fn written(to: *const Writer) Value {
        return .{ .data = to.bytes.items };
    }
};

/// Any of Zig's values as msgpack.
pub fn encode(value: anytype) Writer.Error![]const u8 {
    var to: Writer = .{};
    try to.put(value);
    return to.bytes.items;
}

// ── reading into Zig's types ────────────────────────────────────────────────────────────────────────────────────────────

pub const DecodeError = error{ MalformedError, TypeError, OutOfMemory };

/// Where the last `decode` failed, and why; what becomes the message of a TypeError that the handler returns.
pub const Misfit = struct {
    found: []const u8 = "",
    wanted: []const u8 = "",
    /// Innermost first.
    steps: [16]Step = undefined,
    depth: usize = 0,

    const Step = union(enum) { key: []const u8, index: usize };

    fn within(self: *Misfit, step: Step) void {
        if (self.depth < self.steps.len) self.steps[self.depth] = step;
        self.depth += 1;
    }

    pub fn message(self: *const Misfit) []const u8 {
        var text: std.ArrayList(u8) = .empty;
        var left = @min(self.depth, self.steps.len);
        while (left > 0) : (left -= 1) switch (self.steps[left - 1]) {
            .key => |key| text.print(host.allocator, "{s}{s}", .{ if (text.items.len > 0) "." else "", key }) catch {},
            .index => |index| text.print(host.allocator, "[{d}]", .{index}) catch {},
        };
        const colon = if (text.items.len > 0) ": " else "";
        if (self.found.len == 0) {
            text.print(host.allocator, "{s}it is missing", .{colon}) catch {};
        } else {
            text.print(host.allocator, "{s}{s} does not fit {s}", .{ colon, self.found, self.wanted }) catch {};
        }
        return text.items;
    }
};

pub var misfit: Misfit = .{};

fn mismatch(value: Value, wanted: []const u8) DecodeError {
    misfit = .{ .wanted = wanted, .found = switch (value.kind()) {
        .absent => return error.MalformedError,
        .nil => "null",
        .bool => "a boolean",
        .int => "an integer",
        .float => "a number",
        .str => "a string",
        .bin => "binary",
        .array => "an array",
        .map => "an object",
    } };
    return error.TypeError;
}

/// `value` as a T: booleans; integers (a whole float is one); floats; `[]const u8` from text; `Bytes` from binary, base64 or text
/// of JSON; optionals, null for nil and for a key that is not there; arrays, tuples and slices; enums from their names; structs
/// from maps, with their defaults for what is not there; a `Value` as it is; what has `pub fn decodeMsgpack(Value) DecodeError!T`
/// by that. Slices and what they hold are allocated; texts point into `value`. Keys that no field has are stepped over.
pub fn decode(comptime T: type, value: Value, allocator: Allocator) DecodeError!T {
    if (T == Value) return value;
    if (T == Bytes) return decodeBytes(value, allocator);
    switch (@typeInfo(T)) {
        .void => return,
        .bool => return value.boolean() orelse mismatch(value, "a bool"),
        .int => return decodeInt(T, value),
        .float => return @floatCast(value.float() orelse return mismatch(value, "a number")),
        .optional => |optional| return if (value.isNil()) null else try decode(optional.child, value, allocator),
        .@"enum" => {
            const name = value.string() orelse return mismatch(value, "a " ++ comptime shortName(T));
            if (std.meta.stringToEnum(T, name)) |found| return found;
            misfit = .{ .found = "another text", .wanted = "a " ++ comptime shortName(T) };
            return error.TypeError;
        },
        .array => |array| return decodeArray(T, array.child, array.len, value, allocator),
        .pointer => |pointer| {
            if (pointer.size == .one) {
                const made = try allocator.create(pointer.child);
                made.* = try decode(pointer.child, value, allocator);
                return made;
            }
            if (pointer.size != .slice) @compileError("isolet cannot decode a " ++ @typeName(T));
            if (pointer.child == u8) return decodeText(value);
            return decodeSlice(pointer.child, value, allocator);
        },
        .@"struct" => |info| {
            if (@hasDecl(T, "decodeMsgpack")) return T.decodeMsgpack(value);
            return if (info.is_tuple) decodeTuple(T, value, allocator) else decodeStruct(T, value, allocator);
        },
        else => @compileError("isolet cannot decode a " ++ @typeName(T)),
    }
}

fn shortName(comptime T: type) []const u8 {
    const name = @typeName(T);
    return if (std.mem.lastIndexOfScalar(u8, name, '.')) |dot| name[dot + 1 ..] else name;
}

fn decodeInt(comptime T: type, value: Value) DecodeError!T {
    if (value.int(T)) |number| return number;
    if (value.kind() == .float) {
        const number = value.float().?;
        if (@trunc(number) == number and @abs(number) < 18446744073709551616.0) {
            if (std.math.cast(T, @as(i128, @trunc(number)))) |whole| return whole;
        }
    }
    return mismatch(value, "a " ++ @typeName(T));
}

fn decodeText(value: Value) DecodeError![]const u8 {
    const text = value.string() orelse return mismatch(value, "a string");
    return if (std.unicode.utf8ValidateSlice(text)) text else error.MalformedError;
}

fn decodeBytes(value: Value, allocator: Allocator) DecodeError!Bytes {
    if (value.kind() == .bin) return .{ .data = value.bytes().? };
    const text = value.string() orelse return mismatch(value, "bytes");
    const decoder = std.base64.standard.Decoder;
    const size = decoder.calcSizeForSlice(text) catch return notBase64();
    const bytes = try allocator.alloc(u8, size);
    decoder.decode(bytes, text) catch return notBase64();
    return .{ .data = bytes };
}

fn notBase64() DecodeError {
    misfit = .{ .found = "a string that is not base64", .wanted = "bytes" };
    return error.TypeError;
}

fn decodeSlice(comptime T: type, value: Value, allocator: Allocator) DecodeError![]const T {
    if (value.kind() != .array) return mismatch(value, "a list");
    // Growing as it goes: a head costs its sender five bytes, and believes what it likes.
    var list: std.ArrayList(T) = .empty;
    var each = value.items();
    while (each.next()) |item| {
        const index = list.items.len;
        const made = decode(T, item, allocator) catch |failed| {
            misfit.within(.{ .index = index });
            return failed;
        };
        try list.append(allocator, made);
    }
    return if (list.items.len == value.len()) list.items else error.MalformedError;
}

fn decodeArray(comptime A: type, comptime T: type, comptime len: usize, value: Value, allocator: Allocator) DecodeError!A {
    if (value.kind() != .array or value.len() != len) return mismatch(value, std.fmt.comptimePrint("a list of {d}", .{len}));
    var made: A = undefined;
    var each = value.items();
    for (&made, 0..) |*slot, index| {
        const item = each.next() orelse return error.MalformedError;
        slot.* = decode(T, item, allocator) catch |failed| {
            misfit.within(.{ .index = index });
            return failed;
        };
    }
    return made;
}

fn decodeTuple(comptime T: type, value: Value, allocator: Allocator) DecodeError!T {
    const info = @typeInfo(T).@"struct";
    const count = info.field_names.len;
    if (value.kind() != .array or value.len() != count)
        return mismatch(value, std.fmt.comptimePrint("a list of {d}", .{count}));
    var made: T = undefined;
    var each = value.items();
    inline for (info.field_names, info.field_types, 0..) |name, F, index| {
        const item = each.next() orelse return error.MalformedError;
        @field(made, name) = decode(F, item, allocator) catch |failed| {
            misfit.within(.{ .index = index });
            return failed;
        };
    }
    return made;
}

fn decodeStruct(comptime T: type, value: Value, allocator: Allocator) DecodeError!T {
    if (value.kind() != .map) return mismatch(value, "a " ++ comptime shortName(T));
    const info = @typeInfo(T).@"struct";
    var seen: [info.field_names.len]bool = @splat(false);
    var made: T = undefined;
    var each = value.pairs();
    var left = value.len();
    while (each.next()) |pair| : (left -= 1) {
        const key = pair.key orelse return error.MalformedError;
        inline for (info.field_names, info.field_types, 0..) |name, F, index| {
            if (!seen[index] and std.mem.eql(u8, key, name)) {
                seen[index] = true;
                @field(made, name) = decode(F, pair.value, allocator) catch |failed| {
                    misfit.within(.{ .key = name });
                    return failed;
                };
            }
        }
    }
    if (left > 0) return error.MalformedError;
    inline for (info.field_names, info.field_types, info.field_attrs, 0..) |name, F, attributes, index| {
        if (!seen[index]) {
            if (comptime attributes.default_value_ptr != null) {
                @field(made, name) = comptime attributes.defaultValue(F).?;
            } else if (F == Value) {
                @field(made, name) = Value.absent;
            } else if (@typeInfo(F) == .optional) {
                @field(made, name) = null;
            } else {
                misfit = .{};
                misfit.within(.{ .key = name });
                return error.TypeError;
            }
        }
    }
    return made;
}

test "what is written is read" {
    const Point = struct { x: i64, y: i64 = 7, label: ?[]const u8 = null };
    const data = try encode(.{ .x = 3, .z = true, .label = "p" });
    const point = try decode(Point, .{ .data = data }, std.testing.allocator);
    try std.testing.expectEqual(@as(i64, 7), point.y);
    try std.testing.expectEqualStrings("p", point.label.?);
    try std.testing.expect(valid(data));
    try std.testing.expectError(error.TypeError, decode(Point, .{ .data = "\x80" }, std.testing.allocator));
    try std.testing.expectEqualStrings("x: it is missing", misfit.message());
}

test "malformed bytes are refused" {
    for ([_][]const u8{ "", "\xc1", "\x91", "\xdd\xff\xff\xff\xff\xc0", "\xdb\xff\xff\xff\xff", "\xc0\xc0", "\x81\x01\x01" }) |data|
        try std.testing.expect(!valid(data));
}
