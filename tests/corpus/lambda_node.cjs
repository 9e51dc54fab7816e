// Loaded before a handler under native Node.js: AWS's own runtime interface client runs it, and this is what that client
// speaks to in the place of Lambda's Runtime API.
//
//     node --require lambda_node.cjs RIC DIRECTORY HANDLER EVENTS COUNT ANSWER
//
// One invocation, the COUNTth of EVENTS, for the life of the process; its answer is written to the file ANSWER. There is
// none if the handler ended the process.
'use strict';

const fs = require('fs');
const http = require('http');
const Module = require('module');

const [, ric, directory, handler, events, index, answer] = process.argv;
const ID = '00000000-0000-4000-8000-000000000007';

const write = (kind, body) => fs.writeFileSync(answer, JSON.stringify({ kind, body }));
let asked = false;

// What the client's native half does.
const client = {
  initializeClient() {},
  async next() {
    if (asked) process.reallyExit(0);
    asked = true;
    const headers = {
      'lambda-runtime-aws-request-id': ID,
      'lambda-runtime-deadline-ms': String(Date.now() + 3000),
      'lambda-runtime-invoked-function-arn': `arn:aws:lambda:us-east-1:000000000000:function:${process.env.AWS_LAMBDA_FUNCTION_NAME}`,
    };
    return { bodyJson: JSON.parse(fs.readFileSync(events, 'utf8'))[index], headers };
  },
  done: (_id, body) => write('ok', body),
  error: (_id, body) => write('error', body),
};

const load = Module._load;
Module._load = (request, ...more) => (request === './rapid-client.node' ? client : load(request, ...more));

// Errors while the module is loaded go another way: HTTP, at once. Only the client asks before there is an event.
const request = http.request;
http.request = (options, ...more) => {
  if (asked) return request(options, ...more);
  return {
    on() { return this; },
    end(body) {
      write('init', body);
      process.reallyExit(0);
    },
  };
};

process.chdir(directory);
// A rejection of the main module's own await is an uncaught exception in Node.js.
import(ric).then(({ run }) => run(directory, handler)).catch((error) => process.nextTick(() => { throw error; }));
