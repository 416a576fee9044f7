// @ai-sdk/openai and @ai-sdk/anthropic, unmodified: API is chat, responses or messages. Endpoint and key come from the
// environment.
import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { embedMany, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { models, run } from "./report.mjs";

const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL, apiKey: process.env.KEY });
const anthropic = createAnthropic({ baseURL: process.env.OPENAI_BASE_URL, apiKey: process.env.KEY });
const named = { chat: openai.chat, responses: openai.responses, messages: anthropic }[process.env.API];
const ask = (more) => ({ model: named(models.plain), prompt: "hello", maxOutputTokens: 64, maxRetries: 0, ...more });
const inputSchema = z.object({ city: z.string() });
const execute = async ({ city }) => `sunny in ${city}`;
const weather = tool({ description: "Tells the weather.", inputSchema, execute });

await run({
  async plain() {
    const res = await generateText(ask({ system: "be kind" }));
    assert.deepEqual([res.usage.inputTokens, res.usage.outputTokens, res.finishReason], [11, 7, "stop"]);
    return { text: res.text };
  },
  async stream() {
    let failure;
    const res = streamText(ask({ onError: ({ error }) => { failure = error; } }));
    let text = "";
    for await (const part of res.textStream) text += part;
    if (failure) throw failure;
    const usage = await res.usage;
    assert.deepEqual([usage.inputTokens, usage.outputTokens], [11, 7]);
    return { text };
  },
  // tools has two steps each: the model calls one, and answers to its result.
  async tools() {
    const turns = () => ask({ prompt: "use a tool", tools: { weather }, stopWhen: stepCountIs(3) });
    const res = await generateText(turns());
    assert.deepEqual(res.steps[0].toolCalls[0].input, { city: "Rome" });
    const streamed = streamText(turns());
    assert.equal(await streamed.text, res.text);
    assert.equal((await streamed.steps).length, 2);
    return { text: res.text };
  },
  async structured() {
    const output = Output.object({ schema: inputSchema });
    const res = await generateText(ask({ prompt: "structured, please", output }));
    assert.deepEqual(res.output, { city: "Rome" });
    return { text: "ok" };
  },
  async embeddings() {
    const model = openai.embedding("cohere.embed-english-v3");
    const res = await embedMany({ model, values: ["a", "b"], maxRetries: 0 });
    assert.deepEqual([res.embeddings.length, res.usage.tokens], [2, 11]);
    return { text: "ok" };
  },
  error: () => generateText(ask({ model: named(models.missing) })),
  throttle: () => generateText(ask({ model: named(models.throttled) })),
});
