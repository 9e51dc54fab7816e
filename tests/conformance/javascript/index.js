// One test of test262: runs `source` as a script and answers how it ended: null, or what it threw.
'use strict';

const vm = require('vm');

const named = (error) => {
  const name = error?.constructor?.name;
  return { type: typeof name === 'string' && name ? name : typeof error, message: String(error?.message ?? String(error)).slice(0, 200) };
};

// What the tests ask of their host (INTERPRETING.md of test262). There is one realm, and no agent but this.
globalThis.$262 = {
  global: globalThis,
  evalScript: (source) => vm.runInThisContext(source),
  gc() {},
  detachArrayBuffer: (buffer) => void structuredClone(buffer, { transfer: [buffer] }),
};
globalThis.print = globalThis.reportCompare = () => {};

exports.handler = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = false;
  let open = true;
  const done = (error) => {
    if (open) callback(null, error === undefined ? null : named(error));
    open = false;
  };
  if (event.async) globalThis.$DONE = done;
  try {
    vm.runInThisContext(event.harness, 'harness.js');
    vm.runInThisContext(event.source, 'test.js');
  } catch (error) {
    return done(error);
  }
  if (!event.async) done();
};
