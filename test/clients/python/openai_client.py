"""OpenAI's Python SDK, unmodified. Its endpoint and its key come from the environment."""

import base64

from openai import OpenAI
from pydantic import BaseModel

from report import MISSING, MODEL, THROTTLED, run

client = OpenAI(max_retries=0)
MESSAGES = [{"role": "developer", "content": "be kind"}, {"role": "user", "content": "hello"}]
FUNCTION = {"name": "weather", "description": "Tells the weather.", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}


def ask(model=MODEL, **more):
    return client.chat.completions.create(model=model, messages=MESSAGES, **more)


def plain():
    res = ask(max_completion_tokens=64, temperature=0.5, stop=["END"], user="joe")
    assert res.choices[0].finish_reason == "stop" and res.usage.total_tokens == 18, res
    return {"text": res.choices[0].message.content, "tokens": res.usage.prompt_tokens}


def stream():
    text, usage = "", None
    for chunk in ask(stream=True, stream_options={"include_usage": True}):
        text += "".join(c.delta.content or "" for c in chunk.choices)
        usage = chunk.usage or usage
    assert usage.prompt_tokens == 11 and usage.completion_tokens == 7, usage
    return {"text": text}


def tools():
    """A turn with a call, a stream of the same, and the turn with its result."""
    def weather(**more):
        return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "use a tool"}],
                                              tools=[{"type": "function", "function": FUNCTION}], **more)

    message = weather(tool_choice="required").choices[0].message
    call = message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("weather", '{"city":"Rome"}'), call
    with client.chat.completions.stream(model=MODEL, messages=[{"role": "user", "content": "use a tool"}],
                                        tools=[{"type": "function", "function": FUNCTION}]) as events:
        streamed = events.get_final_completion().choices[0].message.tool_calls[0]
    assert streamed.function.arguments == call.function.arguments, streamed
    history = [{"role": "user", "content": "use a tool"}, message.model_dump(),
               {"role": "tool", "tool_call_id": call.id, "content": "sunny"}, {"role": "user", "content": "hello"}]
    res = client.chat.completions.create(model=MODEL, messages=history,
                                         tools=[{"type": "function", "function": FUNCTION}])
    return {"text": res.choices[0].message.content}


class Place(BaseModel):
    city: str


def structured():
    """A schema, which Nova gets as a tool that it has to call."""
    messages = [{"role": "user", "content": "structured, please"}]
    res = client.chat.completions.parse(model=MODEL, messages=messages, response_format=Place)
    assert res.choices[0].message.parsed == Place(city="Rome"), res
    assert res.choices[0].finish_reason == "stop", res
    res = client.responses.parse(model=MODEL, input="structured, please", text_format=Place)
    assert res.output_parsed == Place(city="Rome"), res


def responses():
    res = client.responses.create(model=MODEL, instructions="be kind", input="hello", max_output_tokens=64)
    assert res.status == "completed" and res.store is False and res.usage.total_tokens == 18, res
    text = ""
    with client.responses.stream(model=MODEL, input="hello") as events:
        for event in events:
            if event.type == "response.output_text.delta":
                text += event.delta
        final = events.get_final_response()
    assert final.output_text == text == res.output_text, final
    function = {"type": "function", "strict": False, **FUNCTION}
    called = client.responses.create(model=MODEL, input="use a tool", tools=[function])
    call = called.output[-1]
    assert (call.type, call.name, call.arguments) == ("function_call", "weather", '{"city":"Rome"}'), call
    history = [{"role": "user", "content": "use a tool"}, *called.output,
               {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
               {"role": "user", "content": "hello"}]
    return {"text": client.responses.create(model=MODEL, input=history, tools=[function]).output_text}


def embeddings():
    def vectors(model, texts, **more):
        res = client.embeddings.create(model=model, input=texts, **more)
        assert [d.index for d in res.data] == list(range(len(texts))) and res.usage.prompt_tokens == 11, res
        return [d.embedding for d in res.data]

    plain = vectors("cohere.embed-english-v3", ["a", "b"], encoding_format="float")
    unasked = vectors("cohere.embed-english-v3", ["a", "b"])
    coded = vectors("cohere.embed-english-v3", ["a", "b"], encoding_format="base64")
    assert all(abs(x - y) < 1e-6 for p, q in zip(plain, unasked) for x, y in zip(p, q)), unasked
    assert len(base64.b64decode(coded[0])) == 4 * len(plain[0]), coded
    vectors("amazon.titan-embed-text-v2:0", ["a"], dimensions=256)


def models():
    ids = [m.id for m in client.models.list()]
    assert MODEL in ids and client.models.retrieve(MODEL).object == "model", ids


def refused(call):
    def outcome():
        try:
            call()
        except Exception as err:  # noqa: BLE001 - whatever the client raises
            return {"error": err.code, "status": err.status_code, "message": err.body["param"]}
    return outcome


run(
    plain=plain,
    stream=stream,
    tools=tools,
    structured=lambda: structured() or {"text": "ok"},
    responses=responses,
    embeddings=lambda: embeddings() or {"text": "ok"},
    models=lambda: models() or {"text": "ok"},
    error=lambda: ask(model=MISSING),
    throttle=lambda: ask(model=THROTTLED),
    two_answers=refused(lambda: ask(n=2)),
    logprobs=refused(lambda: ask(logprobs=True)),
    earlier=refused(lambda: client.responses.create(model=MODEL, input="hello", previous_response_id="resp_1")),
)
