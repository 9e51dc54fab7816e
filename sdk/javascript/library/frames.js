// Which stores of AsyncLocalStorage are in force: one immutable map, or undefined. It is kept in C, since the engine
// remembers it with every `then` and `await` (recipes/javascript.py) and brings it back when they go on.
"use strict";
const { frame, setFrame } = require("native");

function within(next, act) {
  const before = frame();
  setFrame(next);
  try {
    return act();
  } finally {
    setFrame(before);
  }
}

// `fn` as it is to be called later: in the frame of now.
function bound(fn) {
  const now = frame();
  if (now === undefined) return fn;
  return function (...values) {
    return within(now, () => Reflect.apply(fn, this, values));
  };
}

module.exports = { current: frame, enter: setFrame, within, bound };
