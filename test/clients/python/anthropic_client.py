"""anthropic[bedrock], unmodified. It takes its endpoint and its credentials from the environment."""

from anthropic import AnthropicBedrock

from report import MISSING, MODEL, THROTTLED, run

client = AnthropicBedrock(max_retries=0)
REQUEST = {"max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]}


def plain():
    res = client.messages.create(model=MODEL, **REQUEST)
    return {"text": res.content[0].text}


def stream():
    with client.messages.stream(model=MODEL, **REQUEST) as events:
        return {"text": "".join(events.text_stream)}


run(
    plain=plain,
    stream=stream,
    error=lambda: client.messages.create(model=MISSING, **REQUEST),
    throttle=lambda: client.messages.create(model=THROTTLED, **REQUEST),
)
