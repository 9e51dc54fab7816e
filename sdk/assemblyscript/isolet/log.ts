// The invocation's log.

import * as host from "./host";

export enum Level {
  Trace,
  Debug,
  Info,
  Warn,
  Error,
  Fatal,
}

/** Writes one line. console.log goes there, too, at Level.Info. */
export function log(level: Level, message: string): void {
  const text = String.UTF8.encode(message, false, String.UTF8.ErrorMode.REPLACE);
  host.log(level, changetype<usize>(text), text.byteLength);
}

export function debug(message: string): void {
  log(Level.Debug, message);
}

export function info(message: string): void {
  log(Level.Info, message);
}

export function warn(message: string): void {
  log(Level.Warn, message);
}

export function error(message: string): void {
  log(Level.Error, message);
}
