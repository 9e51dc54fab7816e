export class UnknownCurrency extends Error {}
UnknownCurrency.prototype.name = 'UnknownCurrency';

export default function convert(amount, from, to) {
  if (from === undefined || to === undefined) throw new UnknownCurrency(`cannot convert ${amount}`);
  return Math.round((amount / from) * to * 100) / 100;
}
export const precision = 2;
