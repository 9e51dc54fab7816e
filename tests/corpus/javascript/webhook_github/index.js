const { createHmac, timingSafeEqual } = require('crypto');

const SECRET = process.env.WEBHOOK_SECRET;
if (!SECRET) throw new Error('WEBHOOK_SECRET is not set');

function signed(payload, header) {
  if (!header) return false;
  const expected = Buffer.from('sha256=' + createHmac('sha256', SECRET).update(payload, 'utf8').digest('hex'));
  const actual = Buffer.from(header);
  // throws if lengths differ: GitHub's never do
  return timingSafeEqual(expected, actual);
}

const on = {
  ping: ({ zen }) => `pong: ${zen}`,
  push: ({ ref, commits, pusher }) => {
    const branch = ref.replace(/^refs\/heads\//, '');
    const files = new Set(commits.flatMap((c) => [...c.added, ...c.modified]));
    return `${pusher.name} pushed ${commits.length} commit${commits.length === 1 ? '' : 's'} to ${branch}: ${[...files].sort().join(', ') || 'nothing'}`;
  },
  issues: ({ action, issue: { number, title, labels = [] } }) => `#${number} ${action}: ${title}${labels.map((l) => ` [${l.name}]`).join('')}`,
};

exports.handler = async (event) => {
  const headers = Object.fromEntries(Object.entries(event.headers).map(([k, v]) => [k.toLowerCase(), v]));
  const payload = event.isBase64Encoded ? Buffer.from(event.body, 'base64') : event.body;
  if (!signed(payload, headers['x-hub-signature-256'])) {
    return { statusCode: 401, body: 'bad signature' };
  }
  const name = headers['x-github-event'];
  if (!Object.hasOwn(on, name)) return { statusCode: 202, body: `ignored ${name}` };
  const text = on[name](JSON.parse(payload));
  console.log(text);
  return { statusCode: 200, headers: { 'x-delivery': headers['x-github-delivery'] ?? 'none' }, body: text };
};
