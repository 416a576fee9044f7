// OpenAI's SDK, unmodified. Its endpoint and its key come from the environment.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { models, run } from "./report.mjs";

const client = new OpenAI({ maxRetries: 0 });
const model = models.plain;
const messages = [{ role: "developer", content: "be kind" }, { role: "user", content: "hello" }];
const weather = {
  name: "weather", description: "Tells the weather.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const tools = [{ type: "function", function: weather }];
const Place = z.object({ city: z.string() });
const ask = (more) => client.chat.completions.create({ model, messages, ...more });

// refused is the code and the field of a request that is not served.
const refused = (call) => async () => {
  try {
    return { text: JSON.stringify(await call()) };
  } catch (err) {
    return { error: err.code, status: err.status, message: err.param };
  }
};

async function vectors(of, input, more) {
  const res = await client.embeddings.create({ model: of, input, ...more });
  assert.deepEqual(res.data.map((d) => d.index), input.map((_, i) => i));
  assert.equal(res.usage.prompt_tokens, 11);
  return res.data.map((d) => d.embedding);
}

await run({
  async plain() {
    const res = await ask({ max_completion_tokens: 64, temperature: 0.5, stop: ["END"], user: "joe" });
    assert.equal(res.choices[0].finish_reason, "stop");
    assert.equal(res.usage.total_tokens, 18);
    return { text: res.choices[0].message.content };
  },
  async stream() {
    let text = "";
    let usage;
    for await (const chunk of await ask({ stream: true, stream_options: { include_usage: true } })) {
      text += chunk.choices[0]?.delta?.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.deepEqual([usage.prompt_tokens, usage.completion_tokens], [11, 7]);
    return { text };
  },
  async tools() {
    const asked = [{ role: "user", content: "use a tool" }];
    const { message } = (await ask({ messages: asked, tools, tool_choice: "required" })).choices[0];
    const call = message.tool_calls[0];
    assert.deepEqual([call.function.name, call.function.arguments], ["weather", '{"city":"Rome"}']);
    const streamed = await client.chat.completions.stream({ model, messages: asked, tools }).finalChatCompletion();
    assert.equal(streamed.choices[0].message.tool_calls[0].function.arguments, call.function.arguments);
    const said = [...asked, message, { role: "tool", tool_call_id: call.id, content: "sunny" }];
    const res = await ask({ messages: [...said, { role: "user", content: "hello" }], tools });
    return { text: res.choices[0].message.content };
  },
  // runner lets the SDK call the tool itself, until the model has its result.
  async runner() {
    const done = await client.chat.completions.runTools({
      model, messages: [{ role: "user", content: "use a tool" }],
      tools: [{ type: "function", function: { ...weather, parse: JSON.parse, function: () => "sunny" } }],
    }).finalContent();
    return { text: done };
  },
  async structured() {
    const asked = [{ role: "user", content: "structured, please" }];
    const res = await client.chat.completions.parse({
      model, messages: asked, response_format: zodResponseFormat(Place, "place"),
    });
    assert.deepEqual(res.choices[0].message.parsed, { city: "Rome" });
    const other = await client.responses.parse({
      model, input: "structured, please", text: { format: zodTextFormat(Place, "place") },
    });
    assert.deepEqual(other.output_parsed, { city: "Rome" });
    return { text: "ok" };
  },
  async responses() {
    const asked = { model, instructions: "be kind", input: "hello", max_output_tokens: 64 };
    const res = await client.responses.create(asked);
    assert.deepEqual([res.status, res.store, res.usage.total_tokens], ["completed", false, 18]);
    let text = "";
    const events = client.responses.stream({ model, input: "hello" });
    for await (const event of events) if (event.type === "response.output_text.delta") text += event.delta;
    assert.equal((await events.finalResponse()).output_text, text);
    assert.equal(text, res.output_text);
    const declared = [{ type: "function", strict: false, ...weather }];
    const called = await client.responses.create({ model, input: "use a tool", tools: declared });
    const call = called.output.at(-1);
    assert.deepEqual([call.type, call.name, call.arguments], ["function_call", "weather", '{"city":"Rome"}']);
    const input = [{ role: "user", content: "use a tool" }, ...called.output,
      { type: "function_call_output", call_id: call.call_id, output: "sunny" }, { role: "user", content: "hello" }];
    return { text: (await client.responses.create({ model, input, tools: declared })).output_text };
  },
  // embeddings asks for base64 unless it is told otherwise, and decodes it.
  async embeddings() {
    const plain = await vectors("cohere.embed-english-v3", ["a", "b"], { encoding_format: "float" });
    const unasked = await vectors("cohere.embed-english-v3", ["a", "b"]);
    plain.forEach((p, i) => p.forEach((x, n) => assert.ok(Math.abs(x - unasked[i][n]) < 1e-6)));
    await vectors("amazon.titan-embed-text-v2:0", ["a"], { dimensions: 256 });
    return { text: "ok" };
  },
  async models() {
    const ids = [];
    for await (const m of client.models.list()) ids.push(m.id);
    assert.ok(ids.includes(model));
    assert.equal((await client.models.retrieve(model)).object, "model");
    return { text: "ok" };
  },
  error: refused(() => ask({ model: models.missing })),
  throttle: refused(() => ask({ model: models.throttled })),
  two_answers: refused(() => ask({ n: 2 })),
  logprobs: refused(() => ask({ logprobs: true })),
  earlier: refused(() => client.responses.create({ model, input: "hello", previous_response_id: "resp_1" })),
});
