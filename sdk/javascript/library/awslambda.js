// `awslambda`, the global with which a handler says that it streams its answer.
//
// Where somebody reads the answer as it is written (the capability `stream`), it leaves piece by piece; a slow reader
// makes `write` take longer. Else it is put together and is the function's result; for HTTP the metadata that
// HttpResponseStream.from was given becomes status, headers and cookies, either way.
"use strict";
const STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");

function streamifyResponse(handler) {
  handler[STREAMING] = "response";
  return handler;
}

class HttpResponseStream {
  static from(stream, metadata) {
    stream.metadata = metadata;
    stream.setContentType("application/vnd.awslambda.http-integration-response");
    return stream;
  }
}

// What is written to it, and a promise of its end.
function makeStream() {
  const { Writable } = require("stream");
  const { ask } = require("isolet");
  const chunks = [];
  // At the first byte, or at the end without one: whether somebody reads.
  const begin = () => {
    if (stream.streaming !== undefined) return;
    const { statusCode, headers, cookies } = stream.metadata ?? {};
    const options = { content_type: stream.metadata ? undefined : stream.contentType, status: statusCode, headers, cookies };
    stream.streaming = ask(["stream.open", JSON.parse(JSON.stringify(options))]);
  };
  const stream = new Writable({
    decodeStrings: true,
    write(chunk, encoding, done) {
      try {
        begin();
        if (stream.streaming) ask(["stream.write", new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)]);
        else chunks.push(chunk);
        done();
      } catch (error) {
        done(error);
      }
    },
    final(done) {
      try {
        begin();
        done();
      } catch (error) {
        done(error);
      }
    },
  });
  stream.setContentType = (type) => (stream.contentType = type);
  stream.ended = new Promise((resolve, reject) => stream.on("finish", resolve).on("error", reject));
  stream.bytes = () => Buffer.concat(chunks);
  return stream;
}

function answer(stream) {
  const bytes = stream.bytes();
  const isText = require("buffer").isUtf8(bytes);
  const text = isText ? bytes.toString() : undefined;
  const { metadata, contentType } = stream;
  if (metadata) {
    const body = isText ? { body: text, isBase64Encoded: false } : { body: bytes.toString("base64"), isBase64Encoded: true };
    return { statusCode: 200, ...metadata, ...body };
  }
  if (contentType && isText) return { statusCode: 200, headers: { "content-type": contentType }, body: text };
  if (!isText) return { statusCode: 200, headers: { "content-type": contentType ?? "application/octet-stream" }, body: bytes.toString("base64"), isBase64Encoded: true };
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

// Calls a handler of (event, stream, context).
function run(handler, event, context) {
  const { succeed, fail } = context;
  const { callbackWaitsForEmptyEventLoop, done, succeed: s, fail: f, ...rest } = context;
  const stream = makeStream();
  stream.ended.then(() => undefined, () => undefined);
  const result = handler(event, stream, { ...rest, callbackWaitsForEmptyEventLoop });
  if (typeof result?.then !== "function") return fail("Streaming does not support non-async handlers.");
  return result.then(() => {
    if (!stream.writableEnded) return fail("Response stream is not finished.");
    return stream.ended.then(() => succeed(stream.streaming ? null : answer(stream)), fail);
  }, fail);
}

module.exports = { streamifyResponse, HttpResponseStream };
Object.defineProperty(module.exports, "run", { value: run, enumerable: false });
