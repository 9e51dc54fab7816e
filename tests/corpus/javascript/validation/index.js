const schema = require('./schema');

const signup = schema.object({
  email: schema.string().matches(/^[^@\s]+@[^@\s]+\.[a-z]{2,}$/i, 'must be an e-mail address').lower(),
  age: schema.number().integer().between(13, 130).optional(),
  plan: schema.oneOf('free', 'pro', 'team').withDefault('free'),
  tags: schema.array(schema.string().between(1, 8)).optional(),
  address: schema.object({ street: schema.string(), zip: schema.string().matches(/^\d{5}$/, 'must have five digits') }).optional(),
});

exports.handler = async (event) => {
  const input = typeof event.body === 'string' ? JSON.parse(event.body) : event.body;
  try {
    return { statusCode: 200, body: JSON.stringify(signup.check(input)) };
  } catch (e) {
    if (e instanceof schema.ValidationError && !event.strict) {
      return { statusCode: 422, body: JSON.stringify({ errors: e.problems }) };
    }
    throw e;
  }
};
