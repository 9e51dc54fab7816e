// wordcount: counts the words of `text`; answers how many there are, how many distinct ones, and the `top` most frequent.
import { Value, compareBytes, fail, handle } from "isolet";

const TOP_DEFAULT = 10;
const TOP_MAX = 1000;

class Word {
  constructor(
    public word: string,
    public count: i32,
  ) {}
}

function inWord(c: i32): bool {
  return (c >= 0x61 && c <= 0x7a) || (c >= 0x41 && c <= 0x5a) || (c >= 0x30 && c <= 0x39) || c >= 0x80;
}

/** A part of a text, its ASCII letters made small. */
function small(text: string, start: i32, end: i32): string {
  let plain = true;
  for (let i = start; i < end && plain; i++) plain = text.charCodeAt(i) < 0x41 || text.charCodeAt(i) > 0x5a;
  const word = text.substring(start, end);
  if (plain) return word;
  const units = new Array<i32>(end - start);
  for (let i = 0; i < units.length; i++) {
    const c = word.charCodeAt(i);
    units[i] = c >= 0x41 && c <= 0x5a ? c | 0x20 : c;
  }
  return String.fromCharCodes(units);
}

handle((event, context) => {
  const text = event.get("text");
  if (!text.isString) fail("InvalidEvent", "`text` must be a string");
  const asked = event.get("top");
  const top = asked.isAbsent ? TOP_DEFAULT : asked.asInt();
  if (top < 1 || top > TOP_MAX) fail("InvalidEvent", "`top` must be an integer from 1 to 1000");

  const from = text.asString();
  const counts = new Map<string, i32>();
  let words = 0;
  for (let at = 0; at < from.length; at++) {
    const start = at;
    while (at < from.length && inWord(from.charCodeAt(at))) at++;
    if (at == start) continue;
    const word = small(from, start, at);
    counts.set(word, counts.has(word) ? counts.get(word) + 1 : 1);
    words++;
  }
  const keys = counts.keys();
  const list = new Array<Word>(0);
  for (let i = 0; i < keys.length; i++) list.push(new Word(keys[i], counts.get(keys[i])));
  list.sort((a, b) => (a.count != b.count ? b.count - a.count : compareBytes(a.word, b.word)));

  const shown = Value.array();
  for (let i = 0; i < list.length && i < top; i++) {
    shown.push(Value.map().set("word", list[i].word).set("count", list[i].count));
  }
  return Value.map().set("words", words).set("distinct", list.length).set("top", shown);
});
