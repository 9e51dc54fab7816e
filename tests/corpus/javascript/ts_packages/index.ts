import { z } from 'zod';
import _ from 'lodash';
import { v4, validate } from 'uuid';
import dayjs from 'dayjs';
import utc from 'dayjs/plugin/utc';
import jwt from 'jsonwebtoken';
import { parse } from 'yaml';
import Ajv from 'ajv';

dayjs.extend(utc);
const Order = z.object({ id: z.string().min(1), lines: z.array(z.object({ sku: z.string(), qty: z.number().int().positive() })), at: z.coerce.date() });
const ajv = new Ajv();
const valid = ajv.compile({ type: 'object', required: ['id'], properties: { id: { type: 'string' } } });

export const handler = async (event: unknown) => {
  const order = Order.safeParse(event);
  if (!order.success) return { statusCode: 422, issues: order.error.issues };
  const token = jwt.sign({ sub: order.data.id, iat: 1700000000 }, 'secret');
  return {
    bySku: _.groupBy(order.data.lines, 'sku'), total: _.sumBy(order.data.lines, 'qty'), day: dayjs.utc(order.data.at).add(1, 'month').format('YYYY-MM-DD ddd'),
    uuid: validate(v4()), token, verified: jwt.verify(token, 'secret', { ignoreExpiration: true }), yaml: parse('a: [1, {b: c}]\nd: 2020-01-01'), valid: [valid(event), valid({})],
  };
};
