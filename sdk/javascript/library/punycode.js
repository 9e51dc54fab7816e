// `punycode` (RFC 3492).
"use strict";
const BASE = 36;

function adapt(delta, points, first) {
  delta = first ? Math.floor(delta / 700) : delta >> 1;
  delta += Math.floor(delta / points);
  let k = 0;
  for (; delta > 455; k += BASE) delta = Math.floor(delta / 35);
  return Math.floor(k + (36 * delta) / (delta + 38));
}

const threshold = (k, bias) => (k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias);
const digit = (d) => String.fromCharCode(d + 22 + (d < 26 ? 75 : 0));

function encode(text) {
  const points = [...text].map((c) => c.codePointAt(0));
  const basic = points.filter((p) => p < 128);
  let made = String.fromCharCode(...basic);
  let handled = basic.length;
  if (basic.length) made += "-";
  let n = 128;
  let delta = 0;
  let bias = 72;
  while (handled < points.length) {
    const next = Math.min(...points.filter((p) => p >= n));
    delta += (next - n) * (handled + 1);
    n = next;
    for (const p of points) {
      if (p < n) delta++;
      if (p !== n) continue;
      let q = delta;
      for (let k = BASE; ; k += BASE) {
        const t = threshold(k, bias);
        if (q < t) break;
        made += digit(t + ((q - t) % (BASE - t)));
        q = Math.floor((q - t) / (BASE - t));
      }
      made += digit(q);
      bias = adapt(delta, handled + 1, handled === basic.length);
      delta = 0;
      handled++;
    }
    delta++;
    n++;
  }
  return made;
}

function decode(text) {
  const dash = text.lastIndexOf("-");
  const points = dash > 0 ? [...text.slice(0, dash)].map((c) => c.charCodeAt(0)) : [];
  let n = 128;
  let i = 0;
  let bias = 72;
  for (let at = dash > 0 ? dash + 1 : 0; at < text.length; ) {
    const old = i;
    for (let w = 1, k = BASE; ; k += BASE) {
      if (at >= text.length) throw new RangeError("Invalid input");
      const c = text.charCodeAt(at++);
      const d = c - 48 < 10 ? c - 22 : c - 65 < 26 ? c - 65 : c - 97 < 26 ? c - 97 : BASE;
      if (d >= BASE || d < 0) throw new RangeError("Invalid input");
      i += d * w;
      const t = threshold(k, bias);
      if (d < t) break;
      w *= BASE - t;
    }
    bias = adapt(i - old, points.length + 1, old === 0);
    n += Math.floor(i / (points.length + 1));
    i %= points.length + 1;
    points.splice(i++, 0, n);
  }
  return String.fromCodePoint(...points);
}

const labels = (domain, change) => {
  const at = domain.lastIndexOf("@");
  const local = at < 0 ? "" : domain.slice(0, at + 1);
  return local + domain.slice(at + 1).replace(/[\u3002\uff0e\uff61]/g, ".").split(".").map(change).join(".");
};

module.exports = {
  version: "2.1.0",
  encode,
  decode,
  toASCII: (domain) => labels(domain, (label) => (/[^\0-\x7f]/.test(label) ? `xn--${encode(label)}` : label)),
  toUnicode: (domain) => labels(domain, (label) => (label.startsWith("xn--") ? decode(label.slice(4).toLowerCase()) : label)),
  ucs2: { decode: (text) => [...text].map((c) => c.codePointAt(0)), encode: (points) => String.fromCodePoint(...points) },
};
