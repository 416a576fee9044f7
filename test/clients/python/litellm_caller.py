"""LiteLLM's SDK, unmodified: API is chat, responses or messages. Endpoint and key come from the environment."""

import json
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it asks the network for prices else

import litellm  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from report import MISSING, MODEL, THROTTLED, run  # noqa: E402

litellm.telemetry, litellm.suppress_debug_info = False, True
API, BASE, KEY = os.environ["API"], os.environ["BASE"], os.environ["KEY"]
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Tells the weather.", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]


class Place(BaseModel):
    city: str


def ask(messages, model=MODEL, **more):
    provider, base = ("anthropic", BASE) if API == "messages" else ("openai", BASE + "/v1")
    return litellm.completion(f"{provider}/{model}", messages, api_base=base, api_key=KEY, num_retries=0, **more)


def user(text):
    return [{"role": "user", "content": text}]


def plain():
    res = ask([{"role": "system", "content": "be kind"}, *user("hello")], max_tokens=64)
    assert (res.usage.prompt_tokens, res.usage.completion_tokens) == (11, 7), res
    return {"text": res.choices[0].message.content}


def stream():
    text, usage = "", None
    for chunk in ask(user("hello"), max_tokens=64, stream=True, stream_options={"include_usage": True}):
        text += "".join(c.delta.content or "" for c in chunk.choices)
        usage = getattr(chunk, "usage", None) or usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (11, 7), usage
    return {"text": text}


def tools():
    """A call, once whole and once streamed, and the answer to its result."""
    asked = user("use a tool")
    message = ask(asked, tools=TOOLS).choices[0].message
    chunks = list(ask(asked, tools=TOOLS, stream=True))
    streamed = litellm.stream_chunk_builder(chunks).choices[0].message
    for m in (message, streamed):
        assert json.loads(m.tool_calls[0].function.arguments) == {"city": "Rome"}, m
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}
    res = ask([*asked, message.model_dump(), result, *user("hello")], tools=TOOLS)
    return {"text": res.choices[0].message.content}


def structured():
    res = ask(user("structured, please"), response_format=Place)
    assert json.loads(res.choices[0].message.content) == {"city": "Rome"}, res
    return {"text": "ok"}


def embeddings():
    res = litellm.embedding("openai/cohere.embed-english-v3", ["a", "b"], api_base=BASE + "/v1", api_key=KEY)
    assert len(res.data) == 2 and res.usage.prompt_tokens == 11, res
    return {"text": "ok"}


def responses():
    res = litellm.responses(model=f"openai/{MODEL}", input="hello", api_base=BASE + "/v1", api_key=KEY)
    return {"text": res.output[-1].content[0].text}


run(
    plain=plain,
    stream=stream,
    tools=tools,
    structured=structured,
    embeddings=embeddings,
    responses=responses,
    error=lambda: ask(user("hello"), MISSING),
    throttle=lambda: ask(user("hello"), THROTTLED),
)
