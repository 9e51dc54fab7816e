import type { Context } from './lambda';

interface Event {
  readonly name?: string;
  readonly queryStringParameters?: Readonly<Record<string, string>>;
}

interface Greeting {
  hello: string;
  greetings: number;
}

// Runs once, at deployment: every invocation finds modules loaded, and variables as they were left here.
let greetings = 1;

// `name` is in the event, or in the query string of an HTTP request.
export const handler = async (event: Event, context: Context): Promise<Greeting> => {
  const name = event.queryStringParameters?.name ?? event.name ?? 'world';
  console.log(`greeting ${name} for ${context.awsRequestId}`);
  return { hello: name, greetings: greetings++ };
};
