// Source maps: which place of which source a place of a bundle came from. Decoded when a stack first needs it.
"use strict";
const path = require("path");

const DIGITS = new Map([..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"].map((c, i) => [c.charCodeAt(0), i]));

// The lines of `mappings`: per line, [column, source, line, column, name?] in order, all counted from zero.
function decode(mappings) {
  const lines = [];
  let source = 0;
  let line = 0;
  let column = 0;
  let name = 0;
  for (const text of mappings.split(";")) {
    const segments = [];
    let generated = 0;
    for (const field of text ? text.split(",") : []) {
      const numbers = vlq(field);
      generated += numbers[0];
      if (numbers.length < 4) continue;
      source += numbers[1];
      line += numbers[2];
      column += numbers[3];
      const segment = [generated, source, line, column];
      if (numbers.length > 4) segment.push((name += numbers[4]));
      segments.push(segment);
    }
    lines.push(segments);
  }
  return lines;
}

function vlq(text) {
  const numbers = [];
  let value = 0;
  let shift = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = DIGITS.get(text.charCodeAt(i)) ?? 0;
    value += (digit & 31) * 2 ** shift;
    shift += 5;
    if (digit & 32) continue;
    numbers.push(value % 2 ? -((value - 1) / 2) : value / 2);
    value = shift = 0;
  }
  return numbers;
}

function load(map) {
  const content = JSON.parse(map.read().replace(/^\)\]\}'[^\n]*\n/, ""));
  const directory = path.dirname(map.file.replace(/^file:\/\//, ""));
  const sections = content.sections ?? [{ offset: { line: 0, column: 0 }, map: content }];
  return sections.map(({ offset, map: part }) => ({
    offset,
    lines: decode(part.mappings ?? ""),
    sources: part.sources.map((source) => placed(`${part.sourceRoot ? `${part.sourceRoot.replace(/\/$/, "")}/` : ""}${source}`, directory)),
  }));
}

const placed = (source, directory) => (/^[a-z][a-z0-9+.-]*:/i.test(source) || source.startsWith("/") ? source : path.resolve(directory, source));

// { source, line, column } of a place, both counted from one; undefined if the map does not know.
function look(map, line, column) {
  try {
    map.table ??= load(map);
  } catch {
    map.table = []; // a map that cannot be read: the stack shows the bundle
  }
  const part = map.table.findLast(({ offset }) => offset.line < line - 1 || (offset.line === line - 1 && offset.column < column));
  const segments = part?.lines[line - 1 - part.offset.line];
  if (!segments?.length) return undefined;
  let wanted = column - 1;
  if (part.offset.line === line - 1) wanted -= part.offset.column;
  let low = 0;
  let high = segments.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (segments[middle][0] <= wanted) low = middle;
    else high = middle - 1;
  }
  const [, source, sourceLine, sourceColumn] = segments[low];
  return { source: part.sources[source], line: sourceLine + 1, column: sourceColumn + 1 };
}

module.exports = { look, decode };
