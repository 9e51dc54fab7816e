// Failing. AssemblyScript has no exceptions that can be caught: `throw`, a failed assertion, an index out of bounds end the
// invocation with an error of type "Error". What may fail in the ordinary course of things answers a Result instead.

import * as host from "./host";
import { Writer } from "./writer";

/** What went wrong, in words: `type` for programs, `message` for people. */
export class Failure {
  constructor(
    public type: string,
    public message: string,
    /** What another function failed with, if it was invoked and did. */
    public cause: Failure | null = null,
  ) {}
}

/** Ends the invocation with this error; does not return. The type of a function's own errors is its own choice. */
export function fail(type: string, message: string, stack: string = ""): void {
  failWith(new Failure(type, message), stack);
}

/** Ends the invocation with a failure that was answered; does not return. */
export function failWith(failure: Failure, stack: string = ""): void {
  const to = new Writer();
  to.map(1);
  to.string("error");
  to.map(stack.length ? 3 : 2);
  to.string("type");
  to.string(failure.type);
  to.string("message");
  // The host takes 64 KiB in all; a long message says no more than its beginning.
  to.string(failure.message.length > 8000 ? failure.message.substring(0, 8000) : failure.message);
  if (stack.length) {
    to.string("stack");
    to.array(1);
    to.string(stack);
  }
  host.fail(to.start, to.length);
  unreachable();
}

/** A value, or why there is none. */
export class Result<T> {
  constructor(
    private held: T,
    public failure: Failure | null,
  ) {}

  get ok(): bool {
    return this.failure === null;
  }

  /** The value. If there is none, the invocation ends with the failure: look at `ok` or `failure` first, or let it. */
  get value(): T {
    const failure = this.failure;
    if (failure !== null) failWith(failure);
    return this.held;
  }

  /** Whether it failed with this type: `result.failed("Conflict")`. */
  failed(type: string): bool {
    const failure = this.failure;
    return failure !== null && failure.type == type;
  }
}
