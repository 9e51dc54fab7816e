// What the host gives (../../abi.md, section 4). Nobody but the SDK needs it.

// @ts-ignore: decorator
@external("isolet", "call")
export declare function call(request: usize, length: usize): i32;

// @ts-ignore: decorator
@external("isolet", "take")
export declare function take(into: usize): i32;

// @ts-ignore: decorator
@external("isolet", "log")
export declare function log(level: i32, text: usize, length: usize): void;

// @ts-ignore: decorator
@external("isolet", "fail")
export declare function fail(outcome: usize, length: usize): void;

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "clock_time_get")
export declare function clock_time_get(clock: i32, precision: u64, into: usize): i32;
