// AWS SDK for JavaScript v3, unmodified, on its default transport (HTTP/2).
import {
  BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand, CountTokensCommand, InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
} from "@aws-sdk/client-bedrock-runtime";
import { models, run } from "./report.mjs";

const client = new BedrockRuntimeClient({ maxAttempts: 1 });
const messages = [{ role: "user", content: [{ text: "hello" }] }];
const body = JSON.stringify({ messages, inferenceConfig: { maxTokens: 64 } });

await run({
  async plain() {
    const res = await client.send(new ConverseCommand({ modelId: models.plain, messages }));
    return { text: res.output.message.content[0].text, usage: res.usage };
  },
  async stream() {
    const res = await client.send(new ConverseStreamCommand({ modelId: models.plain, messages }));
    let text = "", usage;
    for await (const event of res.stream) {
      text += event.contentBlockDelta?.delta?.text ?? "";
      usage = event.metadata?.usage ?? usage;
    }
    return { text, usage };
  },
  async invoke() {
    const res = await client.send(new InvokeModelCommand({ modelId: models.plain, body }));
    return { text: JSON.parse(new TextDecoder().decode(res.body)).output.message.content[0].text };
  },
  async invokeStream() {
    const res = await client.send(new InvokeModelWithResponseStreamCommand({ modelId: models.plain, body }));
    let text = "";
    for await (const event of res.body) {
      text += JSON.parse(new TextDecoder().decode(event.chunk.bytes)).contentBlockDelta?.delta?.text ?? "";
    }
    return { text };
  },
  async count() {
    const res = await client.send(new CountTokensCommand({ modelId: models.plain, input: { converse: { messages } } }));
    return { tokens: res.inputTokens };
  },
  error: () => client.send(new ConverseCommand({ modelId: models.missing, messages })),
  throttle: () => client.send(new ConverseCommand({ modelId: models.throttled, messages })),
});
