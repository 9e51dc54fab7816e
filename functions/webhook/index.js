// A webhook behind a function URL or API Gateway: the same file runs on AWS Lambda.
const crypto = require("crypto");

const secret = process.env.WEBHOOK_SECRET;

const describe = {
  push: ({ ref, commits, pusher }) =>
    `${pusher.name} pushed ${commits.length} commit${commits.length === 1 ? "" : "s"} to ${ref.replace("refs/heads/", "")}`,
  issues: ({ action, issue, sender }) => `${sender.login} ${action} "${issue.title}" (#${issue.number})`,
  ping: ({ zen }) => `pong: ${zen}`,
};

function isSigned(headers, body) {
  const given = Buffer.from(headers["x-hub-signature-256"] ?? "");
  const expected = Buffer.from("sha256=" + crypto.createHmac("sha256", secret).update(body).digest("hex"));
  return given.length === expected.length && crypto.timingSafeEqual(given, expected);
}

const answer = (statusCode, body) => ({
  statusCode,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

exports.handler = async (event, context) => {
  const body = event.isBase64Encoded ? Buffer.from(event.body, "base64") : event.body ?? "";
  if (!isSigned(event.headers, body)) {
    console.warn("refused: the signature does not match");
    return answer(401, { error: "the signature does not match" });
  }
  const kind = event.headers["x-github-event"];
  const say = describe[kind];
  if (!say) return answer(202, { ignored: kind });
  const text = say(JSON.parse(body));
  console.log(text);
  return answer(200, { text, delivery: event.headers["x-github-delivery"], request: context.awsRequestId });
};
