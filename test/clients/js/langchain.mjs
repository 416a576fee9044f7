// @langchain/aws, unmodified, by Converse.
import { ChatBedrockConverse } from "@langchain/aws";
import { models, run } from "./report.mjs";

const chat = (model) => new ChatBedrockConverse({ model, maxRetries: 0 });

await run({
  plain: async () => ({ text: (await chat(models.plain).invoke("hello")).text }),
  async stream() {
    let text = "";
    for await (const chunk of await chat(models.plain).stream("hello")) text += chunk.text;
    return { text };
  },
  error: () => chat(models.missing).invoke("hello"),
  throttle: () => chat(models.throttled).invoke("hello"),
});
