"""The Anthropic SDK, unmodified, at the gateway's own address: it takes it and its key from the environment."""

import os

from anthropic import Anthropic

from report import MISSING, MODEL, THROTTLED, run

client = Anthropic(max_retries=0)
REQUEST = {"max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]}
TOOLS = [{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]


def plain():
    res = client.messages.create(model=MODEL, **REQUEST)
    return {"text": res.content[0].text, "tokens": res.usage.input_tokens}


def stream():
    with client.messages.stream(model=MODEL, **REQUEST) as events:
        text = "".join(events.text_stream)
        return {"text": text, "tokens": events.get_final_message().usage.input_tokens}


def beta():
    res = client.beta.messages.create(model=MODEL, betas=["context-1m-2025-08-07"], **REQUEST)
    return {"text": res.content[0].text, "tokens": res.usage.input_tokens}


def tools():
    """A call of a tool, in a stream, and the answer to its result."""
    turns = [{"role": "user", "content": "weather"}]
    with client.messages.stream(model=MODEL, max_tokens=64, tools=TOOLS, messages=turns) as events:
        called = events.get_final_message()
    use = next(block for block in called.content if block.type == "tool_use")
    if use.input != {"city": "Rome"} or called.stop_reason != "tool_use":
        return {"error": repr(called)}
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "sunny"}
    turns += [{"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
    res = client.messages.create(model=MODEL, max_tokens=64, tools=TOOLS, messages=turns)
    return {"text": res.content[0].text, "tokens": res.usage.input_tokens}


def count():
    return {"tokens": client.messages.count_tokens(model=MODEL, messages=REQUEST["messages"]).input_tokens}


def models():
    found = [m.id for m in client.models.list(limit=1000)]
    return {"text": "listed" if os.environ["LISTED"] in found else repr(found)}


run(
    plain=plain,
    stream=stream,
    beta=beta,
    tools=tools,
    count=count,
    models=models,
    error=lambda: client.messages.create(model=MISSING, **REQUEST),
    throttle=lambda: client.messages.create(model=THROTTLED, **REQUEST),
)
