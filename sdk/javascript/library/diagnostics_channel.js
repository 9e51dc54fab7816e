// `diagnostics_channel`.
"use strict";
const channels = new Map();

class Channel {
  #subscribers = [];
  constructor(name) {
    this.name = name;
  }
  get hasSubscribers() {
    return this.#subscribers.length > 0;
  }
  subscribe(listener) {
    this.#subscribers.push(listener);
  }
  unsubscribe(listener) {
    const at = this.#subscribers.indexOf(listener);
    if (at >= 0) this.#subscribers.splice(at, 1);
    return at >= 0;
  }
  publish(message) {
    for (const listener of [...this.#subscribers]) listener(message, this.name);
  }
  bindStore() {}
  unbindStore() {}
  runStores(context, fn, self, ...values) {
    this.publish(context);
    return Reflect.apply(fn, self, values);
  }
}

function channel(name) {
  if (!channels.has(name)) channels.set(name, new Channel(name));
  return channels.get(name);
}

function tracingChannel(name) {
  const parts = Object.fromEntries(["start", "end", "asyncStart", "asyncEnd", "error"].map((part) => [part, channel(`tracing:${name}:${part}`)]));
  return {
    ...parts,
    hasSubscribers: false,
    subscribe(listeners) {
      for (const part of Object.keys(parts)) if (listeners[part]) parts[part].subscribe(listeners[part]);
    },
    unsubscribe(listeners) {
      for (const part of Object.keys(parts)) if (listeners[part]) parts[part].unsubscribe(listeners[part]);
    },
    traceSync: (fn, context, self, ...values) => Reflect.apply(fn, self, values),
    tracePromise: (fn, context, self, ...values) => Reflect.apply(fn, self, values),
    traceCallback: (fn, position, context, self, ...values) => Reflect.apply(fn, self, values),
  };
}

module.exports = {
  channel,
  hasSubscribers: (name) => channels.get(name)?.hasSubscribers ?? false,
  subscribe: (name, listener) => channel(name).subscribe(listener),
  unsubscribe: (name, listener) => channel(name).unsubscribe(listener),
  tracingChannel,
  Channel,
};
