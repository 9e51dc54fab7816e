// Classic API Gateway proxy integration (payload 1.0), one function per resource.
var ALLOWED = (process.env.ALLOWED_ORIGINS || '').split(',');

var catalogue = [
  { sku: 'A-1', name: 'Anvil', price: 119.5, stock: 4 },
  { sku: 'B-2', name: 'Bucket', price: 7.25, stock: 0 },
  { sku: 'C-3', name: 'Crate', price: 30, stock: 17 },
];

function cors(event) {
  var headers = event.headers || {};
  var key = Object.keys(headers).find(function (k) { return k.toLowerCase() === 'origin'; });
  var origin = key && headers[key];
  return ALLOWED.indexOf(origin) >= 0
    ? { 'Access-Control-Allow-Origin': origin, Vary: 'Origin' }
    : {};
}

function respond(event, status, body, extra) {
  return {
    statusCode: status,
    headers: Object.assign({ 'Content-Type': 'application/json' }, cors(event), extra),
    multiValueHeaders: { 'Set-Cookie': ['seen=1; Path=/', 'v=' + status] },
    body: body === undefined ? '' : JSON.stringify(body, null, 2),
    isBase64Encoded: false,
  };
}

exports.main = function (event, context, callback) {
  console.log(event.httpMethod, event.resource, event.pathParameters);
  switch (event.resource + ' ' + event.httpMethod) {
    case '/products GET': {
      var wanted = (event.multiValueQueryStringParameters || {}).sku;
      var list = wanted ? catalogue.filter((p) => wanted.includes(p.sku)) : catalogue;
      return callback(null, respond(event, 200, { total: list.length, value: list.reduce((s, p) => s + p.price * p.stock, 0), list }));
    }
    case '/products/{sku} GET': {
      var product = catalogue.filter((p) => p.sku == event.pathParameters.sku)[0];
      if (!product) return callback(null, respond(event, 404, { error: 'NotFound', sku: event.pathParameters.sku }));
      return callback(null, respond(event, 200, product, { ETag: '"' + Buffer.from(JSON.stringify(product)).toString('base64').slice(0, 16) + '"' }));
    }
    case '/products/{sku}/reserve POST': {
      var amount = JSON.parse(event.body).amount;
      var target = catalogue.find((p) => p.sku === event.pathParameters.sku);
      if (target.stock < amount) {
        var error = new Error('[409] only ' + target.stock + ' of ' + target.sku + ' left');
        error.name = 'Conflict';
        return callback(error);
      }
      target.stock -= amount;
      return callback(null, respond(event, 202, target));
    }
    case '/products OPTIONS':
      return callback(null, respond(event, 204, undefined, { 'Access-Control-Allow-Methods': 'GET,POST' }));
    default:
      callback('unsupported: ' + event.httpMethod + ' ' + event.resource);
  }
};
