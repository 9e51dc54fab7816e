import { DirectoryClient } from './client.js';

const batches = async function* (source, size) {
  let batch = [];
  for await (const item of source) {
    batch.push(item);
    if (batch.length === size) {
      yield batch;
      batch = [];
    }
  }
  if (batch.length) yield batch;
};

async function* take(source, count) {
  if (count <= 0) return;
  for await (const item of source) {
    yield item;
    if (--count === 0) return;
  }
}

export async function handler({ total, pageSize, batchSize = 3, limit = Infinity, failAt }) {
  const client = new DirectoryClient({ total, pageSize, failAt });
  const seen = [];
  try {
    for await (const batch of batches(take(client.users(), limit), batchSize)) {
      seen.push(batch.map((u) => u.name).join('+'));
    }
  } finally {
    console.log('pages: %d, closed: %s', client.pages, client.closed);
  }
  return { seen, pages: client.pages, closed: client.closed };
}
