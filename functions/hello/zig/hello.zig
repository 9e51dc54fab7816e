//! hello: the smallest function there is. It answers every event, HTTP request or not, with the same text.

const isolet = @import("isolet");

pub fn handle(_: isolet.Value, _: *isolet.Context) isolet.http.Response {
    return .text(200, "hello\n");
}
