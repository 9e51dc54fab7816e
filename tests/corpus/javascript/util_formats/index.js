const util = require('util');

class Point {
  constructor(x, y) { this.x = x; this.y = y; }
  [util.inspect.custom]() { return `Point<${this.x}, ${this.y}>`; }
}
class Plain { constructor() { this.a = 1; } get b() { return 2; } }

const samples = {
  scalars: [1, -0, 1.5, 'it\'s "quoted"', 'plain', true, null, undefined, 12n, Symbol('s')],
  objects: [{}, { a: 1, 'b-c': [1, 2, { d: { e: { f: 1 } } }] }, [], [[]], [1, , 3], new Plain(), new Point(1, 2), Object.create(null)],
  collections: [new Map([['a', { b: 1 }]]), new Set([1, 'two']), new Date(0), /x+/gi, Buffer.from('hi'), new Uint8Array(3)],
  functions: [function named() {}, () => {}, class A {}, class B extends Plain {}, async () => {}, function* gen() {}],
  long: [Array.from({ length: 120 }, (_, i) => i), 'x'.repeat(100), { text: 'a long text '.repeat(8), other: 'another long text '.repeat(5), n: 1 }],
};

exports.handler = async ({ what, format }) => {
  if (format) return util.format(...format);
  if (what === 'types') {
    const { types } = util;
    return [types.isPromise(Promise.resolve()), types.isDate(new Date()), types.isRegExp(/x/), types.isNativeError(new TypeError()), types.isMap(new Map()), types.isUint8Array(new Uint8Array())];
  }
  if (what === 'deep') {
    const eq = util.isDeepStrictEqual;
    return [eq({ a: [1, { b: new Date(1) }] }, { a: [1, { b: new Date(1) }] }), eq(new Set([1]), new Set([1])), eq([1], ['1']), eq(NaN, NaN), eq(new Map([[1, 2]]), new Map([[1, 3]]))];
  }
  if (what === 'tools') {
    function Old() {}
    function Base() {}
    Base.prototype.hi = () => 'hi';
    util.inherits(Old, Base);
    const sleep = util.promisify((ms, done) => setTimeout(() => done(null, `slept ${ms}`), ms));
    const back = util.callbackify(async (x) => x * 2);
    const fails = util.promisify((done) => done(new Error('told so')));
    return {
      inherits: [new Old().hi(), Old.super_ === Base],
      slept: await sleep(1),
      back: await new Promise((resolve, reject) => back(21, (e, v) => (e ? reject(e) : resolve(v)))),
      failed: await fails().catch((e) => e.message),
      text: new util.TextDecoder().decode(new util.TextEncoder().encode('naïve €😀')),
      latin: new TextDecoder('latin1').decode(Uint8Array.of(0xe9)),
      bad: new TextDecoder().decode(Uint8Array.of(0x61, 0xff, 0x62)),
      fatal: (() => { try { return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.of(0xff)); } catch (e) { return e.name; } })(),
      into: new TextEncoder().encodeInto('€uro', new Uint8Array(4)),
    };
  }
  const list = samples[what];
  for (const value of list) console.log(value);
  console.log('%s is %d years and %i days, %f, %j %o %O %%', 'Ada', 36.5, 12.9, '1.5x', { a: 1 }, [1], { b: { c: {} } }, 'extra', { more: true });
  console.log(list.length, 'samples', list[0]);
  return list.map((value) => util.inspect(value));
};
