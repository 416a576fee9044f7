// Each client runs the same four calls and prints what its user would see.
export const models = {
  plain: process.env.MODEL ?? "amazon.nova-lite-v1:0",
  missing: "does-not-exist",
  throttled: process.env.THROTTLED_MODEL ?? "amazon.nova-micro-v1:0",
};

// outcome runs one call and turns a failure into its name and status.
export async function outcome(call) {
  try {
    return await call();
  } catch (err) {
    return {
      error: err.name ?? String(err),
      type: err.error?.type ?? err.headers?.get?.("x-amzn-errortype") ?? undefined,
      status: err.$metadata?.httpStatusCode ?? err.status ?? err.statusCode ?? err.lastError?.statusCode,
      message: String(err.message),
    };
  }
}

export async function run(calls) {
  const results = {};
  for (const [name, call] of Object.entries(calls)) {
    results[name] = await outcome(call);
  }
  console.log(JSON.stringify(results));
}
