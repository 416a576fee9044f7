// OpenAI's and Anthropic's SDKs, unmodified, reading streams that break: what each raises, and what came before.
// CALLS has them: API, model, and the text that the stand-in breaks its answer to.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { run } from "./report.mjs";

const { BASE, KEY, CALLS } = process.env;
const openai = new OpenAI({ baseURL: `${BASE}/v1`, apiKey: KEY, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: BASE, apiKey: KEY, maxRetries: 0 });

const apis = {
  async *chat(model, content) {
    const messages = [{ role: "user", content }];
    for await (const chunk of await openai.chat.completions.create({ model, messages, stream: true })) {
      yield chunk.choices[0]?.delta?.content ?? "";
    }
  },
  async *responses(model, input) {
    for await (const event of await openai.responses.create({ model, input, stream: true })) {
      if (event.type === "response.output_text.delta") yield event.delta;
    }
  },
  async *messages(model, content) {
    const asked = { model, max_tokens: 64, messages: [{ role: "user", content }], stream: true };
    for await (const event of await anthropic.messages.create(asked)) {
      if (event.type === "content_block_delta") yield event.delta.text;
    }
  },
};

const broken = (api, model, text) => async () => {
  let said = "";
  try {
    for await (const part of api(model, text)) said += part;
  } catch (err) {
    return { text: said, error: err.constructor.name, message: String(err.message) };
  }
  return { text: said };
};

await run(Object.fromEntries(JSON.parse(CALLS).map(([api, model, text]) =>
  [`${api} ${model} ${text}`, broken(apis[api], model, text)])));
