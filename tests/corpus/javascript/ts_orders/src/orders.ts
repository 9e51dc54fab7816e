import type { Line } from './pricing';

export enum OrderStatus {
  New,
  Paid = 10,
  Shipped,
}

export interface Order {
  id: string;
  status: OrderStatus;
  lines?: Line[];
  voucher?: string | null;
}

export class InvalidOrder extends Error {
  public readonly name = 'InvalidOrder' as const;

  constructor(
    message: string,
    public readonly path: readonly string[] = [],
  ) {
    super([...path, message].join(': '));
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

export function parseOrder(value: unknown): Order {
  if (!isRecord(value)) {
    throw new InvalidOrder('not an object');
  }
  const { id, status = 'New', lines, voucher } = value;
  if (typeof id !== 'string') {
    throw new InvalidOrder(`must be a string, is ${typeof id}`, ['id']);
  }
  const known = OrderStatus[status as keyof typeof OrderStatus];
  if (known === undefined) throw new InvalidOrder(`unknown: ${String(status)}`, ['status']);
  return { id, status: known, lines: lines as Line[], voucher: voucher as string | null };
}
