const crypto = require('node:crypto');

class Unauthorized extends Error {
  constructor(reason) {
    super('Unauthorized');
    this.reason = reason;
  }
}

const decode = (part) => JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));

function verify(token, secret, now) {
  const parts = token.split('.');
  if (parts.length !== 3) throw new Unauthorized('malformed');
  const [head, payload, signature] = parts;
  const { alg, typ } = decode(head);
  const hash = { HS256: 'sha256', HS512: 'sha512' }[alg];
  if (!hash || typ !== 'JWT') throw new Unauthorized(`alg ${alg}`);
  const expected = crypto.createHmac(hash, secret).update(`${head}.${payload}`).digest();
  const given = Buffer.from(signature, 'base64url');
  if (given.length !== expected.length || !crypto.timingSafeEqual(given, expected)) throw new Unauthorized('signature');
  const claims = decode(payload);
  if (claims.exp !== undefined && claims.exp <= now) throw new Unauthorized('expired');
  if (claims.nbf !== undefined && claims.nbf > now) throw new Unauthorized('not yet');
  return claims;
}

const policy = (principalId, effect, resource, context) => ({
  principalId,
  policyDocument: { Version: '2012-10-17', Statement: [{ Action: 'execute-api:Invoke', Effect: effect, Resource: resource }] },
  context,
});

// TOKEN authorizer of API Gateway.
exports.handler = async (event) => {
  const [scheme, token] = (event.authorizationToken ?? '').split(' ');
  try {
    if (scheme.toLowerCase() !== 'bearer' || !token) throw new Unauthorized('no bearer token');
    const { sub, scope = '', ...rest } = verify(token, process.env.JWT_SECRET, 1_700_000_000);
    const scopes = scope.split(' ').filter(Boolean);
    const [, , , , , resource] = event.methodArn.split(':');
    const method = resource.split('/')[2];
    const needed = method === 'GET' ? 'read' : 'write';
    return policy(sub, scopes.includes(needed) ? 'Allow' : 'Deny', event.methodArn, { needed, ...rest });
  } catch (error) {
    if (error instanceof Unauthorized) console.log('refused:', error.reason);
    throw error;
  }
};
