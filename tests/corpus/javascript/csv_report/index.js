'use strict';
const { splitLines, parse } = require('./csv');

const money = (cents) => `${cents < 0 ? '-' : ''}${Math.trunc(Math.abs(cents) / 100)}.${String(Math.abs(cents) % 100).padStart(2, '0')}`;
const quote = (cell) => (/[",\n]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : String(cell));

function* report(rows) {
  const groups = rows.reduce((map, row) => map.set(row.region, [...(map.get(row.region) ?? []), row]), new Map());
  yield ['region', 'orders', 'revenue', 'average', 'share'];
  const total = rows.reduce((sum, row) => sum + row.cents, 0);
  for (const region of [...groups.keys()].sort()) {
    const group = groups.get(region);
    const cents = group.reduce((sum, { cents }) => sum + cents, 0);
    yield [region, group.length, money(cents), (cents / group.length / 100).toFixed(3), `${((100 * cents) / total).toPrecision(3)} %`];
  }
  yield ['total', rows.length, money(total), (total / rows.length / 100).toExponential(2), ''];
}

exports.handler = async (event) => {
  const text = event.isBase64Encoded ? Buffer.from(event.body, 'base64').toString('utf-8') : event.body;
  const [header, ...records] = [...splitLines(text)].map((line) => parse(line));
  const rows = records.map((record, index) => {
    if (record.length !== header.length) {
      throw new RangeError(`line ${index + 2} has ${record.length} cells, not ${header.length}`);
    }
    const row = Object.fromEntries(header.map((name, i) => [name.trim().toLowerCase(), record[i]]));
    return { ...row, cents: Math.round(parseFloat(row.amount) * 100) };
  });
  const body = Array.from(report(rows), (cells) => cells.map(quote).join(',')).join('\r\n');
  return { statusCode: 200, headers: { 'Content-Type': 'text/csv', 'Content-Disposition': `attachment; filename="report-${rows.length}.csv"` }, body };
};
