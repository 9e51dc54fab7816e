const unmarshall = require('ddb-plain');
const number = require('ddb-plain/number');

/** Sums revenue by customer and day from the table's stream. */
class Aggregate {
  #totals = new Map();

  add(customer, day, cents, sign) {
    const key = `${customer}#${day}`;
    const entry = this.#totals.get(key) ?? { customer, day, cents: 0, orders: 0 };
    entry.cents += sign * cents;
    entry.orders += sign;
    this.#totals.set(key, entry);
  }

  *[Symbol.iterator]() {
    for (const entry of this.#totals.values()) {
      if (entry.orders !== 0 || entry.cents !== 0) yield entry;
    }
  }

  get size() {
    return this.#totals.size;
  }
}

const replacer = (_key, value) => {
  if (typeof value === 'bigint') return `${value}n`;
  if (value instanceof Set) return [...value].sort();
  return value;
};

module.exports.run = async (event, context) => {
  const aggregate = new Aggregate();
  const odd = [];
  for (const { eventName, dynamodb, eventID } of event.Records) {
    const before = dynamodb.OldImage && unmarshall(dynamodb.OldImage);
    const after = dynamodb.NewImage && unmarshall(dynamodb.NewImage);
    const day = new Date(dynamodb.ApproximateCreationDateTime * 1000).toISOString().slice(0, 10);
    if (eventName !== 'INSERT') aggregate.add(before.customer, day, before.cents, -1);
    if (eventName !== 'REMOVE') aggregate.add(after.customer, day, after.cents, +1);
    const extras = Object.entries({ ...before, ...after }).filter(([k]) => !['customer', 'cents', 'pk'].includes(k));
    if (extras.length) odd.push({ eventID, extras: Object.fromEntries(extras) });
  }
  console.info('%d totals for %s', aggregate.size, context.functionName.length > 0 ? 'a function' : 'nobody');
  return JSON.parse(JSON.stringify({ totals: [...aggregate], odd, least: number('-9007199254740993') }, replacer));
};
