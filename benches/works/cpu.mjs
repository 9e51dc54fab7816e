// SHA-256 of nothing, then of each digest, as often as the body says. Source: FIPS 180-4.
const roots = (count, power) => {
  const found = [];
  for (let n = 2; found.length < count; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
    if (prime) found.push((n ** power % 1) * 2 ** 32 >>> 0);
  }
  return Uint32Array.from(found);
};
let K, START;
const w = new Uint32Array(64);
const turn = (x, n) => (x >>> n) | (x << (32 - n));

// Of at most 55 bytes, as big-endian words: one block.
const sha256 = (words, length) => {
  w.fill(0, 0, 16);
  for (let i = 0; i < words.length; i++) w[i] = words[i];
  w[length >> 2] = 0x80000000;
  w[15] = length * 8;
  for (let i = 16; i < 64; i++) {
    const a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ (a >>> 3)) + w[i - 7] + (turn(b, 17) ^ turn(b, 19) ^ (b >>> 10));
  }
  let [a, b, c, d, e, f, g, h] = START;
  for (let i = 0; i < 64; i++) {
    const t1 = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
    const t2 = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    (h = g), (g = f), (f = e), (e = (d + t1) | 0), (d = c), (c = b), (b = a), (a = (t1 + t2) | 0);
  }
  return Uint32Array.from([a, b, c, d, e, f, g, h], (word, i) => word + START[i]);
};

export const prepare = () => {
  K = roots(64, 1 / 3);
  START = roots(8, 1 / 2);
};
export const work = (body) => {
  let digest = sha256([], 0);
  for (let i = 1; i < Number(body); i++) digest = sha256(digest, 32);
  return Array.from(digest, (word) => word.toString(16).padStart(8, "0")).join("");
};
