// A search index over a few notes: words, stems, ranking, snippets.
const STOP = new Set('a an and in is of on or the to'.split(' '));
const words = (text) => text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase().match(/[\p{L}\p{N}]+(?:'\p{L}+)?/gu) ?? [];
const stem = (word) => word.replace(/(?:ing|ed|es|s)$/, '') || word;

class Index {
  #postings = new Map();
  #documents = [];
  add(title, text) {
    const id = this.#documents.push({ title, text }) - 1;
    for (const [position, word] of words(`${title} ${text}`).entries()) {
      if (STOP.has(word)) continue;
      const key = stem(word);
      this.#postings.get(key)?.push([id, position]) ?? this.#postings.set(key, [[id, position]]);
    }
    return this;
  }
  search(query) {
    const scores = {};
    for (const word of words(query)) {
      const found = this.#postings.get(stem(word)) ?? [];
      const idf = Math.log(1 + this.#documents.length / (1 + found.length));
      for (const [id, position] of found) scores[id] = (scores[id] ?? 0) + idf / Math.sqrt(1 + position);
    }
    return Object.entries(scores)
      .sort(([a, x], [b, y]) => y - x || a - b)
      .map(([id, score]) => ({ ...this.#documents[id], score: +score.toFixed(4) }));
  }
  get terms() { return [...this.#postings.keys()].sort(); }
}

const highlight = (text, query) =>
  words(query).reduce((marked, word) => marked.replaceAll(new RegExp(`(?<![\\p{L}])${word}\\p{L}*`, 'giu'), (hit) => `<${hit}>`), text);

module.exports.handler = async ({ notes, query }) => {
  const index = Object.entries(notes).reduce((i, [title, text]) => i.add(title, text), new Index());
  const hits = index.search(query);
  return {
    hits: hits.map(({ title, score, text }) => ({ title, score, snippet: highlight(text, query).slice(0, 60) })),
    terms: index.terms,
    cases: [query.toUpperCase(), query.toLowerCase(), query.at(-1), query.codePointAt(0), query.split('').reverse().join(''), query.localeCompare('m') < 0, query.includes('é'), query.trim().length, query.substring(3, 1), query.substr(-3), query.slice(-3, -1), query.search(/\s/), query.concat('!', 1), query.repeat(2).lastIndexOf(query), query.padStart(12, '-='), query.isWellFormed?.() ?? true],
    sorted: ['b', 'a', 'ä', 'Z', 'é', '10', '9'].sort(),
    numbers: [(255).toString(16), (0.1).toString(3).slice(0, 12), (1e21).toString(), (123.456).toFixed(1), (0.000001234).toString(), (25).toString(36), Number('0b101'), Number(''), Number(' 12 '), parseInt('12px'), parseInt('0x1f'), parseFloat('.5e1'), (1234.5678).toExponential(2), Number.EPSILON > 0, 0.1 * 3, 5e-324, 1.7976931348623157e308, (-1.5).toFixed(0), (1.45).toFixed(1), (8.345).toFixed(2)],
    math: [Math.hypot(3, 4), Math.cbrt(27), Math.sign(-3), Math.trunc(-1.5), Math.fround(5.5), Math.clz32(1), Math.imul(3, 4), Math.log2(8), Math.atan2(1, 1).toFixed(12), Math.round(-0.5) + 0, Math.round(2.5), 7 % -3, -7 % 3, 2 ** -1, ~~5.9, -5 >>> 28, 1 << 31],
  };
};
