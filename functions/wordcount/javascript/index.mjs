// wordcount: the words of a text, and the most frequent ones of them.
const TOP = 10;
const TOP_MAX = 1000;

// Letters and digits of ASCII, and all that is beyond it.
const WORD = /[a-z0-9\u0080-\u{10ffff}]+/gu;

const invalid = (message) => Object.assign(new Error(message), { name: "InvalidEvent" });

export const handler = async (event) => {
  const { text, top = TOP } = event ?? {};
  if (typeof text !== "string") throw invalid("`text` must be a string");
  if (!Number.isInteger(top) || top < 1 || top > TOP_MAX) {
    throw invalid(`\`top\` must be an integer from 1 to ${TOP_MAX}`);
  }
  const words = text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()).match(WORD) ?? [];
  const counts = new Map();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  const ordered = [...counts].sort(([a, many], [b, others]) => others - many || byBytes(a, b));
  return {
    words: words.length,
    distinct: counts.size,
    top: ordered.slice(0, top).map(([word, count]) => ({ word, count })),
  };
};

// The order of code points is that of UTF-8's bytes; the order of UTF-16's units, which `<` compares, is not.
function byBytes(a, b) {
  const [one, other] = [Array.from(a), Array.from(b)];
  for (let i = 0; i < one.length && i < other.length; i++) {
    const difference = one[i].codePointAt(0) - other[i].codePointAt(0);
    if (difference) return difference;
  }
  return one.length - other.length;
}
