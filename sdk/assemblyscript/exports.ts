// What the host calls. `isolet deploy` compiles it beside the function's own module, which is the first to run.

import { buffer, run } from "isolet/handler";

export function isolet_buffer(length: i32): usize {
  return buffer(length);
}

export function isolet_handle(at: usize, length: i32): u64 {
  return run(at, length);
}
