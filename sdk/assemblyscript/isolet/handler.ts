// From an envelope to an outcome (../../abi.md, sections 2 and 3).

import { Context } from "./context";
import { Kind, Reader, Value } from "./value";
import { Writer } from "./writer";

export type Handler = (event: Value, context: Context) => Value;

let handler: Handler | null = null;

/** Names the function's handler: once, at the top level of its module. */
export function handle(named: Handler): void {
  assert(handler === null, "handle was called twice; a function has one handler");
  handler = named;
}

// Both are the host's to write and read: globals keep them from the collector.
let input: ArrayBuffer = new ArrayBuffer(0);
let output: Writer = new Writer();

export function buffer(length: i32): usize {
  input = new ArrayBuffer(max(length, 1));
  return changetype<usize>(input);
}

export function run(at: usize, length: i32): u64 {
  const from = new Reader(at, length);
  let event = new Value(Kind.Absent);
  let context = new Context(at, 0);
  for (let left = from.entries(); left > 0 && !from.error.length; left--) {
    const key = from.at;
    from.skip();
    if (from.passed(key, "event")) {
      event = from.value(0);
      continue;
    }
    const isContext = from.passed(key, "context");
    const value = from.at;
    from.skip();
    if (isContext) context = new Context(value, <i32>(from.at - value));
  }
  if (from.error.length || event.isAbsent) return failed("MalformedEnvelope", "the envelope has no event");
  const entropy = context.entropy;
  if (entropy.length == 16) {
    // Two halves: the generator has 128 bits of state, and a seed of 64.
    Math.seedRandom(load<i64>(entropy.dataStart) ^ (load<i64>(entropy.dataStart, 8) * 0x9e3779b97f4a7c15));
  }
  const named = handler;
  if (named === null) return failed("HandlerMissing", "no handler: call handle at the top level of the module");
  const result = named(event, context);
  output = new Writer();
  output.map(1);
  output.string("ok");
  result.write(output);
  return outcome();
}

function failed(type: string, message: string): u64 {
  output = new Writer();
  Value.map().set("error", Value.map().set("type", type).set("message", message)).write(output);
  return outcome();
}

function outcome(): u64 {
  return ((<u64>output.start) << 32) | (<u64>output.length);
}
