// @anthropic-ai/sdk, unmodified, at the gateway's own address: it takes it and its key from the environment.
import Anthropic from "@anthropic-ai/sdk";
import { models, run } from "./report.mjs";

const client = new Anthropic({ maxRetries: 0 });
const request = { model: process.env.MODEL, max_tokens: 64, messages: [{ role: "user", content: "hello" }] };
const tools = [{ name: "weather", input_schema: { type: "object", properties: { city: { type: "string" } } } }];

await run({
  async plain() {
    const res = await client.messages.create(request);
    return { text: res.content[0].text, tokens: res.usage.input_tokens };
  },
  async stream() {
    const res = await client.messages.stream(request).finalMessage();
    return { text: res.content[0].text, tokens: res.usage.input_tokens };
  },
  async beta() {
    const res = await client.beta.messages.create({ ...request, betas: ["context-1m-2025-08-07"] });
    return { text: res.content[0].text, tokens: res.usage.input_tokens };
  },
  async tools() {
    const messages = [{ role: "user", content: "weather" }];
    const called = await client.messages.stream({ ...request, tools, messages }).finalMessage();
    const use = called.content.find((block) => block.type === "tool_use");
    if (use?.input?.city !== "Rome" || called.stop_reason !== "tool_use") return { error: JSON.stringify(called) };
    const result = { type: "tool_result", tool_use_id: use.id, content: "sunny" };
    messages.push({ role: "assistant", content: called.content }, { role: "user", content: [result] });
    const res = await client.messages.create({ ...request, tools, messages });
    return { text: res.content[0].text, tokens: res.usage.input_tokens };
  },
  async count() {
    return { tokens: (await client.messages.countTokens({ model: request.model, messages: request.messages })).input_tokens };
  },
  async models() {
    const found = [];
    for await (const m of client.models.list({ limit: 1000 })) found.push(m.id);
    return { text: found.includes(process.env.LISTED) ? "listed" : JSON.stringify(found) };
  },
  error: () => client.messages.create({ ...request, model: models.missing }),
  throttle: () => client.messages.create({ ...request, model: models.throttled }),
});
