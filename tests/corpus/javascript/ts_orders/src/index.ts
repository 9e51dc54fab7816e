import type { Context } from './lambda';
import { Order, OrderStatus, parseOrder } from './orders';
import { price, type Money } from './pricing';

interface Response<T> {
  statusCode: number;
  body: T;
}

abstract class Handler<E, R> {
  protected constructor(private readonly label: string) {}
  protected abstract handle(event: E, context: Context): Promise<R>;

  async run(event: E, context: Context): Promise<R & { by: string }> {
    const result = await this.handle(event, context);
    return { ...result, by: this.label };
  }
}

class OrderHandler extends Handler<unknown, Response<{ total: Money; status: keyof typeof OrderStatus }>> {
  constructor() {
    super('orders');
  }

  protected async handle(event: unknown): Promise<Response<{ total: Money; status: keyof typeof OrderStatus }>> {
    const order: Order = parseOrder(event);
    const total = price(order.lines!, order.voucher as string | undefined);
    console.log(`order ${order.id satisfies string} is ${OrderStatus[order.status]}`);
    return { statusCode: 200, body: { total, status: OrderStatus[order.status] as keyof typeof OrderStatus } };
  }
}

const instance = new OrderHandler();
export const handler = (event: unknown, context: Context) => instance.run(event, context);
