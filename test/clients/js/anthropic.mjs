// @anthropic-ai/bedrock-sdk, unmodified.
import { AnthropicBedrock } from "@anthropic-ai/bedrock-sdk";
import { models, run } from "./report.mjs";

const bearer = process.env.AWS_BEARER_TOKEN_BEDROCK;
const client = new AnthropicBedrock({
  awsRegion: "us-east-1",
  maxRetries: 0,
  ...(bearer
    ? { apiKey: bearer }
    : { awsAccessKey: process.env.AWS_ACCESS_KEY_ID, awsSecretKey: process.env.AWS_SECRET_ACCESS_KEY }),
});
const request = { model: models.plain, max_tokens: 64, messages: [{ role: "user", content: "hello" }] };

await run({
  async plain() {
    const res = await client.messages.create(request);
    return { text: res.content[0].text, usage: res.usage };
  },
  async stream() {
    let text = "";
    for await (const event of await client.messages.create({ ...request, stream: true })) {
      text += event.delta?.text ?? "";
    }
    return { text };
  },
  error: () => client.messages.create({ ...request, model: models.missing }),
  throttle: () => client.messages.create({ ...request, model: models.throttled }),
});
