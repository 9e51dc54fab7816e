const { setTimeout: sleep, setImmediate: immediate } = require('node:timers/promises');
const { once, EventEmitter } = require('node:events');

const fetchPart = async (name, ms, fails = false) => {
  await sleep(ms);
  if (fails) throw new Error(`${name} failed`);
  return name;
};

async function order() {
  const trail = [];
  const note = (text) => () => trail.push(text);
  setTimeout(note('timeout 0'), 0);
  setImmediate(note('immediate'));
  process.nextTick(note('tick'));
  Promise.resolve().then(note('then 1')).then(note('then 2'));
  queueMicrotask(note('microtask'));
  (async () => { trail.push('sync part'); await null; trail.push('after await'); })();
  trail.push('end of sync');
  await sleep(5);
  // timers and immediates race in Node itself: their order is not promised
  return [...trail.slice(0, -2), ...trail.slice(-2).sort()];
}

const modes = {
  order,
  all: () => Promise.all([fetchPart('a', 3), fetchPart('b', 1), 'plain', { then: (resolve) => resolve('thenable') }]),
  'all fails': () => Promise.all([fetchPart('a', 3), fetchPart('b', 1, true)]),
  settled: async () => (await Promise.allSettled([fetchPart('a', 1), fetchPart('b', 2, true), 3])).map((r) => ({ ...r, reason: r.reason?.message })),
  any: () => Promise.any([fetchPart('slow', 9), fetchPart('x', 1, true), fetchPart('fast', 2)]),
  'any of none': () => Promise.any([]),
  race: () => Promise.race([fetchPart('slow', 50), fetchPart('quick', 1)]),
  'race lost by an error': () => Promise.race([fetchPart('slow', 50), fetchPart('quick', 1, true)]),
  queue: async () => {
    const results = [];
    let running = 0, most = 0;
    const work = [5, 1, 3, 2, 4];
    await Promise.all(Array.from({ length: 2 }, async () => {
      while (work.length) {
        const n = work.shift();
        most = Math.max(most, ++running);
        results.push(await fetchPart(n * n, n));
        running--;
      }
    }));
    return { results: results.sort((a, b) => a - b), most };
  },
  sequence: () => [1, 2, 3].reduce((chain, n) => chain.then(async (sum) => sum + (await fetchPart(n, 1))), Promise.resolve(0)),
  finally: () => fetchPart('x', 1).finally(() => fetchPart('y', 1)).then((v) => Promise.reject(v)).catch((v) => `caught ${v}`),
  'for await': async () => {
    const seen = [];
    for await (const value of [fetchPart('p', 1), 'q', immediate('r')]) seen.push(value);
    return seen;
  },
  interval: async () => {
    let n = 0;
    return new Promise((resolve) => {
      const timer = setInterval(() => { if (++n === 3) { clearInterval(timer); resolve(n); } }, 1);
    });
  },
  'events.once': async () => {
    const emitter = new EventEmitter();
    setTimeout(() => emitter.emit('ready', 1, 2), 1);
    return once(emitter, 'ready');
  },
  constructor: () => new Promise((resolve, reject) => { resolve('first'); reject(new Error('ignored')); throw new Error('ignored too'); }),
  'thrown in the constructor': () => new Promise(() => { throw new Error('executor'); }),
  'never settles': () => new Promise(() => {}),
  'timer arguments': () => new Promise((resolve) => setTimeout((a, b) => resolve([a, b]), 1, 'x', 'y')),
};

exports.handler = ({ mode }) => modes[mode]();
