// A table of 20,000 entries, made before the first call; a call looks one up.
const table = new Map();
export const prepare = () => {
  for (let i = 0; i < 20000; i++) table.set(`key-${i}`, Math.imul(i, 2654435761) >>> 0);
};
export const work = (body) => String(table.get(body) ?? "");
