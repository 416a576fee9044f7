// @ai-sdk/amazon-bedrock, unmodified.
import { createAmazonBedrock } from "@ai-sdk/amazon-bedrock";
import { generateText, streamText } from "ai";
import { models, run } from "./report.mjs";

const bedrock = createAmazonBedrock({});
const ask = (model) => ({ model: bedrock(model), prompt: "hello", maxOutputTokens: 64, maxRetries: 0 });

await run({
  async plain() {
    const res = await generateText(ask(models.plain));
    return { text: res.text, usage: res.usage };
  },
  async stream() {
    let failure;
    const res = streamText({ ...ask(models.plain), onError: ({ error }) => { failure = error; } });
    let text = "";
    for await (const part of res.textStream) text += part;
    if (failure) throw failure;
    return { text };
  },
  error: () => generateText(ask(models.missing)),
  throttle: () => generateText(ask(models.throttled)),
});
