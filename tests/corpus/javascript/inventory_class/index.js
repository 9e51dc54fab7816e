class Quantity {
  #value;
  static #checks = 0;
  static zero = new Quantity(0);
  static get checks() { return Quantity.#checks; }

  constructor(value) {
    Quantity.#checks++;
    if (!Number.isInteger(value) || value < 0) throw new RangeError(`bad quantity: ${value}`);
    this.#value = value;
  }
  static of(other) { return other instanceof Quantity ? other : new this(other); }
  plus(other) { return new Quantity(this.#value + Quantity.of(other).#value); }
  minus(other) { return new Quantity(this.#value - Quantity.of(other).#value); }
  [Symbol.toPrimitive](hint) { return hint === 'string' ? `${this.#value} pcs` : this.#value; }
  toJSON() { return this.#value; }
  static isQuantity(thing) { return #value in thing; }
}

class Item {
  #listeners = [];
  constructor(sku, quantity = Quantity.zero, attributes = {}) {
    Object.assign(this, { sku, quantity: Quantity.of(quantity) });
    this.attributes = new Proxy(attributes, {
      get: (target, key) => (key in target ? target[key] : typeof key === 'string' ? `no ${key}` : undefined),
      set(target, key, value) { if (key === 'sku') throw new TypeError('sku is fixed'); return Reflect.set(target, key, value); },
    });
  }
  on(listener) { this.#listeners.push(listener); return () => this.#listeners.splice(this.#listeners.indexOf(listener), 1); }
  move(amount) {
    const before = this.quantity;
    this.quantity = amount < 0 ? before.minus(-amount) : before.plus(amount);
    for (const listener of this.#listeners) listener.call(this, before, this.quantity);
  }
  get [Symbol.toStringTag]() { return 'Item'; }
}

class Perishable extends Item {
  constructor(sku, quantity, { best, ...rest }) { super(sku, quantity, rest); this.best = new Date(best); }
  move(amount) {
    super.move(amount);
    this.touched = (this.touched ?? 0) + 1;
  }
  fresh = (now) => now < this.best;
}

class Inventory {
  items = new Map();
  add(...items) { items.forEach((item) => this.items.set(item.sku, item)); return this; }
  *[Symbol.iterator]() { yield* this.items.values(); }
  async apply(moves) {
    for await (const [sku, amount] of moves) {
      const item = this.items.get(sku) ?? (() => { throw new ReferenceError(`unknown sku ${sku}`); })();
      item.move(amount);
    }
  }
}

exports.handler = async ({ moves, now = '2024-06-01', fix }) => {
  const stock = new Inventory().add(new Item('bolt', 10, { size: 'M4' }), new Perishable('milk', 3, { best: '2024-05-31', fat: 3.5 }));
  const log = [];
  const stop = stock.items.get('bolt').on(function (a, b) { log.push(`${this.sku}: ${a} → ${b}`); });
  await stock.apply(moves);
  stop();
  if (fix) stock.items.get('bolt').attributes.sku = 'nut';
  return {
    stock: [...stock], log,
    labels: [...stock].map((i) => `${i} ${i.constructor.name} ${i.attributes.size} ${i.attributes.fat}`),
    fresh: stock.items.get('milk').fresh(new Date(now)),
    checks: Quantity.checks > 5, brand: [Quantity.isQuantity(Quantity.zero), Quantity.isQuantity({})],
    kinds: [stock.items.get('milk') instanceof Item, Object.keys(stock.items.get('milk')), Object.getOwnPropertyNames(Perishable.prototype)],
    arithmetic: [+Quantity.zero.plus(5) * 2, `${new Quantity(3)}`, new Quantity(2) > new Quantity(1)],
  };
};
