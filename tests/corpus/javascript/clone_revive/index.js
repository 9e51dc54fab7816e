const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/;

const revive = (key, value) => {
  if (typeof value === 'string' && ISO.test(value)) return new Date(value);
  if (value?.$type === 'map') return new Map(value.entries);
  if (value?.$type === 'bytes') return Uint8Array.from(atob(value.base64), (c) => c.charCodeAt(0));
  if (key === 'secret') return undefined;
  return value;
};

function replace(key, value) {
  const original = this[key];
  if (original instanceof Date) return { $date: original.getTime() };
  if (original instanceof Map) return { $type: 'map', entries: [...original] };
  if (original instanceof Uint8Array) return { $type: 'bytes', base64: btoa(String.fromCharCode(...original)) };
  return value;
}

exports.handler = async ({ text, clone, weird }) => {
  if (clone === 'function') return structuredClone({ f() {} });
  const document = JSON.parse(text, revive);
  const copy = structuredClone(document);
  const cyclic = { document: copy };
  cyclic.self = cyclic;
  const again = structuredClone(cyclic);
  if (weird) {
    return { u: undefined, f: () => 1, s: Symbol('x'), n: NaN, i: -Infinity, z: -0, e: 1e21, d: new Date(NaN), r: /x/g, nested: [undefined, () => 1, null], t: { toJSON: (k) => `key ${k}` }, b: new Boolean(false), n2: Object(5), s2: new String('s'), sp: '\u2028\ud800 \u0007"\\/', big: 9007199254740993, small: 5e-324, frac: 0.1 + 0.2, e2: 123456789012345680000, k: { 2: 'b', 1: 'a', x: 1, '-1': 0 } };
  }
  return {
    same: JSON.stringify(copy, replace) === JSON.stringify(document, replace), distinct: copy !== document,
    cyclic: again.self === again && again.document !== copy,
    kinds: Object.entries(copy).map(([k, v]) => [k, Object.prototype.toString.call(v)]),
    text: JSON.stringify(document, replace, 2),
    picked: JSON.stringify(document, ['when', 'name', 'nested'], '--'),
    error: structuredClone(new RangeError('cloned')).name,
  };
};
