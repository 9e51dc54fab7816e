// What the host says of an invocation (../../abi.md, section 2.1).

import * as host from "./host";
import { Reader, Value } from "./value";

export class Context {
  private read: Value | null = null;

  /** Where the context's bytes are. They are read when they are first asked for. */
  constructor(
    private at: usize,
    private bytes: i32,
  ) {}

  private get source(): Value {
    let read = this.read;
    if (read === null) this.read = read = new Reader(this.at, this.bytes).value(0);
    return read;
  }

  get requestId(): string {
    return this.source.get("request_id").asString();
  }

  get functionName(): string {
    return this.source.get("function_name").asString();
  }

  get functionVersion(): string {
    return this.source.get("function_version").asString();
  }

  get functionArn(): string {
    return this.source.get("function_arn").asString();
  }

  get memoryLimitMb(): i32 {
    return <i32>this.source.get("memory_limit_mb").asInt();
  }

  get logGroup(): string {
    return this.source.get("log_group").asString();
  }

  get logStream(): string {
    return this.source.get("log_stream").asString();
  }

  /** Unix time in milliseconds at which the invocation is stopped. */
  get deadlineMs(): i64 {
    return this.source.get("deadline_ms").asInt();
  }

  /** How long the invocation may still run. */
  get remainingMs(): i64 {
    return this.deadlineMs - now();
  }

  /** Sixteen bytes, fresh in every invocation. Math.random was seeded from them. */
  get entropy(): Uint8Array {
    const from = new Reader(this.at, this.bytes);
    for (let left = from.entries(); left > 0 && !from.error.length; left--) {
      const key = from.at;
      from.skip();
      if (from.passed(key, "entropy")) return from.value(0).asBytes();
      from.skip();
    }
    return new Uint8Array(0);
  }

  /** The caller's X-Amzn-Trace-Id; absent unless it sent one. */
  get traceId(): Value {
    return this.source.get("trace_id");
  }

  /** The caller's X-Amz-Client-Context; absent unless it sent one. */
  get clientContext(): Value {
    return this.source.get("client_context");
  }
}

const instant = memory.data(8);

/** Unix time in milliseconds. (Date.now() is the same; new Date(now()) has the calendar.) */
export function now(): i64 {
  host.clock_time_get(0, 1000, instant);
  return load<i64>(instant) / 1_000_000;
}
