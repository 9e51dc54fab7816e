const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const atStart = Date.now();

exports.handler = async (event, context) => {
  const left = context.getRemainingTimeInMillis();
  console.log('for %s', process.env.STAGE);
  return {
    name: context.functionName, version: context.functionVersion, memory: context.memoryLimitInMB,
    memoryType: typeof context.memoryLimitInMB, group: context.logGroupName, stream: typeof context.logStreamName,
    arn: context.invokedFunctionArn.split(':').slice(0, 3).concat(context.invokedFunctionArn.split(':').pop()),
    id: UUID.test(context.awsRequestId), left: [typeof left, left > 0, left <= 3000],
    identity: context.identity ?? null, client: context.clientContext ?? null, keys: Object.keys(context).filter((k) => k !== 'tenantId' && k !== 'identity' && k !== 'clientContext').sort(),
    env: ['STAGE', 'AWS_LAMBDA_FUNCTION_NAME', 'AWS_LAMBDA_FUNCTION_MEMORY_SIZE', 'AWS_REGION', 'LAMBDA_TASK_ROOT', '_HANDLER', 'NOPE'].map((n) => process.env[n] ?? null),
    time: [typeof atStart, Date.now() >= atStart, Number.isInteger(Date.now()), performance.now() >= 0, typeof process.hrtime.bigint(), process.uptime() >= 0],
    process: [process.cwd(), process.platform, Array.isArray(process.argv), typeof process.pid, typeof process.version, typeof process.memoryUsage().heapUsed],
    random: new Set(Array.from({ length: 50 }, Math.random)).size,
    changed: (process.env.STAGE = 5, process.env.STAGE), has: 'STAGE' in process.env, gone: delete process.env.STAGE && process.env.STAGE === undefined,
    event, given: Array.isArray(event) ? event.length : typeof event,
  };
};
