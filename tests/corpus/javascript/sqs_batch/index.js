const { setTimeout: sleep } = require('timers/promises');

class PoisonMessage extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = 'PoisonMessage';
  }
}

const handlers = {
  'order.created': async ({ id, lines }) => {
    await sleep(2);
    const total = lines.reduce((sum, { quantity, price }) => sum + quantity * Math.round(price * 100), 0);
    console.log('order %s: %d cents in %i lines', id, total, lines.length);
    return { id, total: total / 100 };
  },
  'order.cancelled': async ({ id, reason = 'unknown' }) => ({ id, reason }),
  'order.refunded': ({ id }) => Promise.reject(new Error(`refund of ${id} refused`)),
};

async function handleRecord(record) {
  let message;
  try {
    message = JSON.parse(record.body);
  } catch (cause) {
    throw new PoisonMessage(`message ${record.messageId} is not JSON`, { cause });
  }
  const handle = handlers[message.type];
  if (!handle) throw new PoisonMessage(`no handler for ${message.type}`);
  return handle(message.data);
}

exports.handler = async ({ Records }) => {
  const outcomes = await Promise.allSettled(Records.map(handleRecord));
  const failed = [];
  outcomes.forEach((outcome, index) => {
    const { messageId, attributes } = Records[index];
    if (outcome.status === 'rejected') {
      const { reason } = outcome;
      console.warn(`${messageId} failed for the ${attributes?.ApproximateReceiveCount ?? '1'}. time: ${reason.name}: ${reason.message}`);
      failed.push({ itemIdentifier: messageId, poison: reason instanceof PoisonMessage, cause: reason.cause?.name });
    }
  });
  if (failed.length === Records.length && failed.length > 1) {
    throw new AggregateError(outcomes.map((o) => o.reason), `all ${failed.length} messages failed`);
  }
  return { batchItemFailures: failed, done: outcomes.filter((o) => o.status === 'fulfilled').map((o) => o.value) };
};
