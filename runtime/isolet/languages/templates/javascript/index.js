'use strict';

// Runs once, at deployment: every invocation finds modules loaded, and variables as they were left here.
let greetings = 1;

// `name` is in the event, or in the query string of an HTTP request.
exports.handler = async (event, context) => {
  const name = event.queryStringParameters?.name ?? event.name ?? 'world';
  console.log(`greeting ${name} for ${context.awsRequestId}`);
  return { hello: name, greetings: greetings++ };
};
