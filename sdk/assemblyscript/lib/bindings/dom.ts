// In the place of AssemblyScript's own bindings to a browser: what of them means something here. So console.log, Date.now,
// performance.now and crypto.getRandomValues work as they do elsewhere; the rest does not compile.

import * as host from "isolet/host";
import { Level, log as line } from "isolet/log";
import { now as millisecond } from "isolet/context";

/** JSMath has nothing to offer: AssemblyScript's Math is its own. */
export namespace Math {}

export namespace Date {
  export function now(): f64 {
    return <f64>millisecond();
  }
}

export namespace console {
  export function assert(condition: bool, message: string): void {
    if (!condition) line(Level.Error, "Assertion failed: " + message);
  }

  export function log(text: string): void {
    line(Level.Info, text);
  }

  export function debug(text: string): void {
    line(Level.Debug, text);
  }

  export function info(text: string): void {
    line(Level.Info, text);
  }

  export function warn(text: string): void {
    line(Level.Warn, text);
  }

  export function error(text: string): void {
    line(Level.Error, text);
  }

  const timers = new Map<string, f64>();

  export function time(label: string): void {
    timers.set(label, performance.now());
  }

  export function timeLog(label: string): void {
    if (timers.has(label)) line(Level.Info, label + ": " + (performance.now() - timers.get(label)).toString() + "ms");
  }

  export function timeEnd(label: string): void {
    timeLog(label);
    timers.delete(label);
  }
}

const instant = memory.data(8);

export namespace performance {
  export function now(): f64 {
    host.clock_time_get(1, 1000, instant);
    return <f64>load<i64>(instant) / 1_000_000;
  }
}

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "random_get")
declare function random_get(into: usize, length: usize): i32;

export namespace crypto {
  export function getRandomValues(array: Uint8Array): void {
    random_get(array.dataStart, array.length);
  }

  export function getRandomValuesN(length: u32): Uint8Array {
    const values = new Uint8Array(length);
    getRandomValues(values);
    return values;
  }
}
