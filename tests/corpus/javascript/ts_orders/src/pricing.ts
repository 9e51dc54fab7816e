export type Money = `${number} EUR`;

export interface Line {
  sku: string;
  quantity: number;
  cents: number;
}

namespace Vouchers {
  export const known: Record<string, (cents: number) => number> = {
    TEN: (cents) => cents * 0.9,
    FREE: () => 0,
  };
}

export function price(lines: ReadonlyArray<Line>, voucher?: string): Money {
  const cents = lines.reduce((sum, line) => {
    if (line.quantity <= 0) {
      // The line of this throw is what the test of source maps looks for.
      throw new RangeError(`quantity of ${line.sku} is ${line.quantity}`);
    }
    return sum + line.quantity * line.cents;
  }, 0);
  const discount = voucher ? Vouchers.known[voucher] : undefined;
  return `${Math.round(discount?.(cents) ?? cents) / 100} EUR`;
}
