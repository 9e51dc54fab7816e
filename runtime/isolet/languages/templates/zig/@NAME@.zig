const std = @import("std");
const isolet = @import("isolet");

var greetings: u32 = 0;

/// Runs once, at deployment: what it fills, every invocation finds filled.
pub fn init() !void {
    greetings = 1;
}

const Greeting = struct { hello: []const u8, greetings: u32 };

/// Answers {"hello": name}. `name` is in the event, or in the query string of an HTTP request.
pub fn handle(event: isolet.Value, context: *isolet.Context) !Greeting {
    const request: isolet.http.Request = .{ .event = event };
    const given = if (request.method() != null) request.query("name") else event.get("name").string();
    const name = given orelse "world";
    std.log.info("greeting {s} for {s}", .{ name, context.requestId() });
    defer greetings += 1;
    return .{ .hello = name, .greetings = greetings };
}
