// Asks each model of CASES once, by defaults of the client that the argument names, and prints nothing: the server
// counts what is repeated. READ_TIMEOUT bounds the wait for an answer, in seconds.
import { BedrockRuntimeClient, ConverseCommand } from "@aws-sdk/client-bedrock-runtime";
import { AnthropicBedrock } from "@anthropic-ai/bedrock-sdk";
import { createAmazonBedrock } from "@ai-sdk/amazon-bedrock";
import { generateText } from "ai";

const cases = process.env.CASES.split(",");
const milliseconds = 1000 * Number(process.env.READ_TIMEOUT);
const aws = () => {
  const client = new BedrockRuntimeClient({ requestHandler: { requestTimeout: milliseconds } });
  const messages = [{ role: "user", content: [{ text: "hello" }] }];
  return (modelId) => client.send(new ConverseCommand({ modelId, messages }));
};
const anthropic = () => {
  const client = new AnthropicBedrock({
    awsRegion: "us-east-1", timeout: milliseconds,
    awsAccessKey: process.env.AWS_ACCESS_KEY_ID, awsSecretKey: process.env.AWS_SECRET_ACCESS_KEY,
  });
  return (model) => client.messages.create({ model, max_tokens: 64, messages: [{ role: "user", content: "hello" }] });
};
const vercel = () => {
  const bedrock = createAmazonBedrock({});
  return (model) => generateText({
    model: bedrock(model), prompt: "hello", maxOutputTokens: 64, abortSignal: AbortSignal.timeout(20_000 + milliseconds),
  });
};
const ask = { aws, anthropic, vercel }[process.argv[2]]();
await Promise.all(cases.map((name) => ask(name).catch(() => {})));
process.exit(0);
