'use strict';

class AppError extends Error {
  constructor(message, { code, ...options } = {}) {
    super(message, options);
    this.code = code;
  }
  get name() { return this.constructor.name; }
}
class NotFound extends AppError {}

function Legacy(message) {
  this.message = message;
  this.stack = new Error(message).stack;
}
Legacy.prototype = Object.create(Error.prototype);
Legacy.prototype.name = 'Legacy';
Legacy.prototype.constructor = Legacy;

const deep = (n) => (n === 0 ? fail() : deep(n - 1));
function fail() {
  throw new NotFound('at the bottom', { code: 'E404' });
}
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const animals = {
  plain: () => { throw new Error('plain'); },
  'no message': () => { throw new Error(); },
  'two lines': () => { throw new Error('first\nsecond'); },
  deep: () => deep(5),
  cause: () => {
    try {
      JSON.parse('{"a":');
    } catch (cause) {
      throw new AppError('configuration is broken', { cause, code: 'ECONF' });
    }
  },
  legacy: () => { throw new Legacy('as in 2012'); },
  renamed: () => { throw Object.assign(new TypeError('called otherwise'), { name: 'Custom.Name' }); },
  'name is no string': () => { throw Object.assign(new Error('odd'), { name: 42 }); },
  aggregate: () => Promise.any([Promise.reject(new Error('one')), Promise.reject(new Error('two'))]),
  string: () => { throw 'just text'; },
  number: () => { throw 42; },
  null: () => { throw null; },
  undefined: () => { throw undefined; },
  object: () => { throw { name: 'LooksLike', message: 'an error' }; },
  'object with a stack': () => { throw { name: 'LooksLike', message: 'an error', stack: 'LooksLike: an error\n    at nowhere' }; },
  symbol: () => { throw Symbol('s'); },
  'rejected with nothing': () => Promise.reject(),
  'after a wait': async () => { await wait(1); fail(); },
  'in then': () => wait(1).then(() => { throw new RangeError('thrown in then'); }),
  finally: async () => { try { fail(); } finally { console.log('cleaned up'); } },
  'unhandled rejection': async () => { Promise.reject(new Error('nobody caught me')); await wait(20); return 'never'; },
  'unhandled rejection of text': async () => { Promise.reject('text nobody caught'); await wait(20); return 'never'; },
  'uncaught in a timer': async () => { setTimeout(() => { throw new NotFound('uncaught'); }, 1); await wait(20); return 'never'; },
  'uncaught in a microtask': async () => { queueMicrotask(() => { throw new Error('uncaught in a microtask'); }); await wait(20); return 'never'; },
  'handled late': async () => { const p = Promise.reject(new Error('late')); try { await p; } catch (e) { return `caught ${e.message}`; } },
  exit: () => process.exit(3),
  'exit with zero': async () => { await wait(1); process.exit(0); },
  'exit with a code set before': () => { process.exitCode = 7; process.exit(); },
  undefinedFunction: () => { const o = {}; o.missing(); },
  nullProperty: () => { const user = null; return user.name.first; },
  undefinedProperty: () => { const config = {}; return config.db.host; },
  undefinedVariable: () => notDefinedAnywhere,
  constant: () => { const x = 1; x = 2; },
  frozen: () => { Object.freeze(animals).extra = 1; },
  recursion: () => { const f = () => f() + 1; return f(); },
  json: () => JSON.parse('{"broken": tru}'),
  invalidLength: () => new Array(-1),
  toFixed: () => (1).toFixed(101),
  notIterable: () => { const [a] = {}; return a; },
  circular: () => { const o = { name: 'loop' }; o.self = o; return o; },
  badRegex: () => new RegExp('('),
  notAConstructor: () => new (() => {})(),
  destructure: () => { const { a: { b } } = {}; return b; },
  decode: () => decodeURIComponent('%E0%A4%A'),
  date: () => new Date(NaN).toISOString(),
  bigint: () => BigInt(1.5),
  tdz: () => { x; let x = 1; },
  privateBrand: () => { class A { #p = 1; static read(o) { return o.#p; } } return A.read({}); },
  classWithoutNew: () => { class A {} A(); },
  generatorRunning: () => { const g = (function* () { g.next(); })(); g.next(); },
};

exports.handler = async (event) => animals[event.animal]();
exports.sync = (event, context, callback) => { callback(null, animals[event.animal]()); };
