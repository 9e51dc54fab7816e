//! HTTP functions: requests and responses in Lambda's payload format 2.0 (abi.md 2.2 and 3).

const std = @import("std");

const host = @import("host.zig");
const msgpack = @import("msgpack.zig");
const Value = msgpack.Value;
const Writer = msgpack.Writer;

/// An event that is a request. Of one that is none, all that can be asked for is absent.
pub const Request = struct {
    event: Value,

    pub fn decodeMsgpack(value: Value) msgpack.DecodeError!Request {
        return .{ .event = value };
    }

    /// Null: the event is no HTTP request.
    pub fn method(request: Request) ?[]const u8 {
        return request.event.get("requestContext").get("http").get("method").string();
    }

    pub fn path(request: Request) ?[]const u8 {
        return request.event.get("rawPath").string();
    }

    /// A header by its name in any case. Several of one name come as one, joined by commas.
    pub fn header(request: Request, name: []const u8) ?[]const u8 {
        var each = request.event.get("headers").pairs();
        while (each.next()) |pair| {
            if (std.ascii.eqlIgnoreCase(pair.key orelse continue, name)) return pair.value.string();
        }
        return null;
    }

    /// A parameter of the query string, decoded.
    pub fn query(request: Request, name: []const u8) ?[]const u8 {
        return request.event.get("queryStringParameters").get(name).string();
    }

    /// What {name} stood for in the route that matched.
    pub fn pathParameter(request: Request, name: []const u8) ?[]const u8 {
        return request.event.get("pathParameters").get(name).string();
    }

    pub fn cookie(request: Request, name: []const u8) ?[]const u8 {
        var each = request.event.get("cookies").items();
        while (each.next()) |item| {
            const text = item.string() orelse continue;
            if (text.len > name.len and std.mem.startsWith(u8, text, name) and text[name.len] == '=')
                return text[name.len + 1 ..];
        }
        return null;
    }

    /// The body's bytes, textual or not.
    pub fn body(request: Request) ?[]const u8 {
        return request.event.get("body").bytes();
    }

    /// A field of a body of type application/x-www-form-urlencoded, decoded.
    pub fn form(request: Request, name: []const u8) error{OutOfMemory}!?[]const u8 {
        var each = std.mem.splitScalar(u8, request.body() orelse return null, '&');
        while (each.next()) |field| {
            const end = std.mem.indexOfScalar(u8, field, '=') orelse field.len;
            if (std.mem.eql(u8, try urlDecode(field[0..end]), name)) return try urlDecode(field[@min(end + 1, field.len)..]);
        }
        return null;
    }
};

/// Text without its %XX and +. What is no escape stays as it is.
pub fn urlDecode(text: []const u8) error{OutOfMemory}![]const u8 {
    if (std.mem.indexOfAny(u8, text, "%+") == null) return text;
    const decoded = try host.allocator.alloc(u8, text.len);
    var len: usize = 0;
    var at: usize = 0;
    while (at < text.len) : (at += 1) {
        decoded[len] = if (text[at] == '+') ' ' else text[at];
        if (text[at] == '%' and text.len - at > 2) escape: {
            const high = std.fmt.charToDigit(text[at + 1], 16) catch break :escape;
            const low = std.fmt.charToDigit(text[at + 2], 16) catch break :escape;
            decoded[len] = high << 4 | low;
            at += 2;
        }
        len += 1;
    }
    return decoded[0..len];
}

pub const Header = struct { []const u8, []const u8 };

/// An answer to a request: `return .{ .status = 404, .headers = &.{.{ "x-reason", "none such" }}, .body = .{ .text = "…" } }`.
pub const Response = struct {
    status: u16 = 200,
    headers: []const Header = &.{},
    /// Whole ones, as in Set-Cookie: "name=value; Path=/".
    cookies: []const []const u8 = &.{},
    body: Body = .none,

    pub const Body = union(enum) { none, text: []const u8, bytes: []const u8 };

    /// A status and a text.
    pub fn text(status: u16, content: []const u8) Response {
        return .{
            .status = status,
            .headers = &.{.{ "content-type", "text/plain; charset=utf-8" }},
            .body = .{ .text = content },
        };
    }

    pub fn encodeMsgpack(response: Response, to: *Writer) Writer.Error!void {
        const body: usize = switch (response.body) {
            .none => 0,
            .text => 1,
            .bytes => 2,
        };
        try to.map(1 + @as(usize, @intFromBool(response.headers.len > 0)) + @intFromBool(response.cookies.len > 0) + body);
        try to.pair("statusCode", response.status);
        if (response.headers.len > 0) {
            try to.string("headers");
            try to.map(response.headers.len);
            for (response.headers) |header| try to.pair(header[0], header[1]);
        }
        if (response.cookies.len > 0) try to.pair("cookies", response.cookies);
        switch (response.body) {
            .none => {},
            .text => |content| try to.pair("body", content),
            .bytes => |content| {
                try to.pair("body", msgpack.Bytes{ .data = content });
                // So that the answer is right as JSON too, where the host makes base64 of binary.
                try to.pair("isBase64Encoded", true);
            },
        }
    }
};

test urlDecode {
    try std.testing.expectEqualStrings("a b&c=é%zz%4", try urlDecode("a+b%26c%3D%C3%A9%zz%4"));
}
