// An order's items counted, summed, and named in capitals.
export const prepare = () => {};
export const work = (body) => {
  const { items } = JSON.parse(body);
  return JSON.stringify({
    count: items.length,
    total: items.reduce((sum, item) => sum + item.cents * item.quantity, 0),
    names: items.map((item) => item.name.toUpperCase()),
  });
};
