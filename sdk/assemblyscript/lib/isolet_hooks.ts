// What AssemblyScript's own library would import from a browser or from Node.js: `isolet deploy` names these in their place
// (asc --use).

import { failWith, Failure } from "isolet/failure";
import * as host from "isolet/host";

// @ts-ignore: decorator
@global
export function isolet_abort(message: string | null, file: string | null, line: u32, column: u32): void {
  const place = file === null ? "" : file + ":" + line.toString() + ":" + column.toString();
  failWith(new Failure("Error", message === null ? "aborted" : message), place);
}

// @ts-ignore: decorator
@global
export function isolet_trace(
  message: string,
  n: i32 = 0,
  a0: f64 = 0,
  a1: f64 = 0,
  a2: f64 = 0,
  a3: f64 = 0,
  a4: f64 = 0,
): void {
  const numbers: f64[] = [a0, a1, a2, a3, a4];
  const text = String.UTF8.encode(n ? message + " " + numbers.slice(0, n).join(", ") : message);
  host.log(0, changetype<usize>(text), text.byteLength);
}

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "random_get")
declare function random_get(into: usize, length: usize): i32;

const drawn = memory.data(8);

/** For Math.random at the top level: what it draws there is frozen; an invocation is seeded anew before its handler runs. */
// @ts-ignore: decorator
@global
export function isolet_seed(): f64 {
  random_get(drawn, 8);
  return load<f64>(drawn);
}
