/** Lines outside of quotes. */
exports.splitLines = function* splitLines(text) {
  let start = 0, quoted = false;
  for (let i = 0; i <= text.length; i++) {
    const c = text[i];
    if (c === '"') quoted = !quoted;
    if ((c === '\n' && !quoted) || c === undefined) {
      const line = text.slice(start, i).replace(/\r$/, '');
      if (line !== '') yield line;
      start = i + 1;
    }
  }
  if (quoted) throw new SyntaxError('quote is not closed');
};

exports.parse = (line) => {
  const cells = [];
  const cell = /(?:"((?:[^"]|"")*)"|([^,]*))(,|$)/y;
  for (;;) {
    const [, quoted, bare, end] = cell.exec(line);
    cells.push(quoted === undefined ? bare : quoted.replace(/""/g, '"'));
    if (end === '') return cells;
  }
};
