//! Write isolet functions in Zig (guest ABI version 1, ../abi.md).
//!
//!     const isolet = @import("isolet");
//!
//!     const Event = struct { name: []const u8 = "world" };
//!     const Greeting = struct { hello: []const u8 };
//!
//!     pub fn handle(event: Event, context: *isolet.Context) !Greeting {
//!         if (event.name.len == 0) return context.fail("NameMissing", "the event's `{s}` is empty", .{"name"});
//!         return .{ .hello = event.name };
//!     }
//!
//! The function's source file declares, for start.zig to find:
//!
//!     pub fn handle(event: E, context: *isolet.Context) !R      the handler
//!     pub fn init() !void                                       optional: once, when the function is deployed
//!     pub fn reseed(entropy: [16]u8) void                       optional: before each handler, for generators of your own
//!     pub const std_options: std.Options                        optional: instead of ours
//!
//! Laws:
//! - E and R are whatever `decode` and `encode` take: structs with defaults, optionals, slices, enums; a `Value` is any event
//!   as it is. `[]const u8` is text; bytes are `Bytes`. What init makes (with `allocator`), every invocation finds made.
//! - An error that the handler returns becomes {type: its name, message}; the message is what `Context.fail`, a capability or
//!   a decoder said of it. A panic, and what Zig's safety checks find, becomes the error `Panic`: it ends the guest through the
//!   host's isolet.fail.
//! - Reading a `Value` never fails loudly and never leaves its bytes: what is absent, of another type or malformed is null.
//! - Values and texts point into the event; they and all that `allocator` gives live until the invocation ends. Nothing has to
//!   be freed: so does the isolate.
//! - std.log writes to the invocation's log. `Context.random` is seeded anew in every invocation.

const std = @import("std");
const builtin = @import("builtin");

const capability = @import("capability.zig");
const msgpack = @import("msgpack.zig");

pub const http = @import("http.zig");
pub const host = @import("host.zig");
pub const Context = @import("context.zig").Context;

pub const Value = msgpack.Value;
pub const Kind = msgpack.Kind;
pub const Bytes = msgpack.Bytes;
pub const Writer = msgpack.Writer;
pub const DecodeError = msgpack.DecodeError;
pub const valid = msgpack.valid;
pub const decode = msgpack.decode;
pub const encode = msgpack.encode;

pub const CapabilityError = capability.CapabilityError;
pub const Refusal = capability.Refusal;
pub const refusal = capability.refusal;
pub const call = capability.call;
pub const sleep = capability.sleep;
pub const random = capability.random;
pub const kv = capability.kv;
pub const Kv = capability.Kv;
pub const fetch = capability.fetch;
pub const FetchRequest = capability.FetchRequest;
pub const FetchResponse = capability.FetchResponse;
pub const invoke = capability.invoke;
pub const secret = capability.secret;

/// What the last `decode` that failed with a TypeError met, and where.
pub fn misfit() []const u8 {
    return msgpack.misfit.message();
}

/// Memory that lives until the invocation ends; what init takes from it is in the snapshot.
pub const allocator = host.allocator;
/// A variable of the function's environment.
pub const env = host.env;
/// Unix time in nanoseconds.
pub const now = host.now;

/// One line of the log, as std.log writes it.
pub const log = host.log;

test {
    std.testing.refAllDecls(@This());
    _ = builtin;
}
