// hello: the smallest function there is. It answers every event, HTTP request or not, with the same text.
export const handler = async () => ({
  statusCode: 200,
  headers: { "content-type": "text/plain; charset=utf-8" },
  body: "hello\n",
});
