// One task of a state machine: decides and hands on. Errors are matched by name in Catch clauses.
class InsufficientFunds extends Error {
  constructor(missing) { super(`missing ${missing}`); this.name = 'InsufficientFunds'; }
}
class ServiceUnavailable extends Error {
  static { this.prototype.name = 'ServiceUnavailable'; }
}

const transitions = Object.freeze({
  NEW: { next: 'RESERVED', guard: (o) => o.items.length > 0 },
  RESERVED: { next: 'PAID', guard: charge },
  PAID: { next: 'SHIPPED', guard: () => true },
  SHIPPED: { next: null },
});

function charge(order) {
  const due = order.items.reduce((sum, { price, quantity = 1 }) => sum + price * quantity, 0);
  if (order.balance < due) throw new InsufficientFunds(due - order.balance);
  order.balance -= due;
  order.paid = due;
  return true;
}

exports.handler = async (order) => {
  if (order.outage) throw new ServiceUnavailable('payment provider is down');
  const state = order.state ?? 'NEW';
  const { next, guard } = transitions[state];
  if (next === null) return { ...order, terminal: true };
  if (!guard(order)) return { ...order, state: 'REJECTED', history: [...(order.history || []), `${state}→REJECTED`] };
  return { ...order, state: next, history: [...(order.history || []), `${state}→${next}`] };
};
