"""boto3, unmodified: the same calls as the other clients, what its user sees printed as JSON."""

import json

import boto3
from botocore.config import Config

from report import MISSING, MODEL, THROTTLED, run

MESSAGES = [{"role": "user", "content": [{"text": "hello"}]}]
BODY = json.dumps({"messages": MESSAGES, "inferenceConfig": {"maxTokens": 64}})

client = boto3.client("bedrock-runtime", config=Config(retries={"mode": "standard", "max_attempts": 1}))


def plain():
    res = client.converse(modelId=MODEL, messages=MESSAGES)
    return {"text": res["output"]["message"]["content"][0]["text"], "usage": res["usage"]}


def stream():
    text, usage = "", None
    for event in client.converse_stream(modelId=MODEL, messages=MESSAGES)["stream"]:
        text += event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
        usage = event.get("metadata", {}).get("usage", usage)
    return {"text": text, "usage": usage}


def invoke():
    res = client.invoke_model(modelId=MODEL, body=BODY)
    return {"text": json.loads(res["body"].read())["output"]["message"]["content"][0]["text"]}


def invoke_stream():
    text = ""
    for event in client.invoke_model_with_response_stream(modelId=MODEL, body=BODY)["body"]:
        chunk = json.loads(event["chunk"]["bytes"])
        text += chunk.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
    return {"text": text}


def count():
    res = client.count_tokens(modelId=MODEL, input={"converse": {"messages": MESSAGES}})
    return {"tokens": res["inputTokens"]}


run(
    plain=plain,
    stream=stream,
    invoke=invoke,
    invokeStream=invoke_stream,
    count=count,
    error=lambda: client.converse(modelId=MISSING, messages=MESSAGES),
    throttle=lambda: client.converse(modelId=THROTTLED, messages=MESSAGES),
)
