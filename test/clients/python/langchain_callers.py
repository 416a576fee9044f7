"""langchain-openai and langchain-anthropic, unmodified: API is chat, responses or messages. Endpoints and keys come
from the environment."""

import os

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from report import MISSING, MODEL, THROTTLED, run

API = os.environ["API"]


def chat(model=MODEL):
    if API == "messages":
        from langchain_anthropic import ChatAnthropic

        return ChatAnthropic(model=model, max_tokens=64, max_retries=0)
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model=model, max_retries=0, max_tokens=64, stream_usage=True,
                      use_responses_api=API == "responses")


@tool
def weather(city: str) -> str:
    """Tells the weather."""
    return f"sunny in {city}"


class Place(BaseModel):
    """A place."""

    city: str


def plain():
    res = chat().invoke([("system", "be kind"), ("user", "hello")])
    assert res.usage_metadata["input_tokens"] == 11 and res.usage_metadata["output_tokens"] == 7, res
    return {"text": res.text}


def stream():
    whole = None
    for chunk in chat().stream("hello"):
        whole = chunk if whole is None else whole + chunk
    assert whole.usage_metadata["input_tokens"] == 11 and whole.usage_metadata["output_tokens"] == 7, whole
    return {"text": whole.text}


def tools():
    """A call, once whole and once streamed, and the answer to its result."""
    bound = chat().bind_tools([weather])
    whole = None
    for chunk in bound.stream("use a tool"):
        whole = chunk if whole is None else whole + chunk
    called = bound.invoke("use a tool")
    for message in (called, whole):
        assert [c["args"] for c in message.tool_calls] == [{"city": "Rome"}], message
    call = called.tool_calls[0]
    result = ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])
    return {"text": bound.invoke([HumanMessage("use a tool"), called, result, HumanMessage("hello")]).text}


def structured():
    for method in ("json_schema", "function_calling"):
        text = "structured, please" if method == "json_schema" else "use Place"
        res = chat().with_structured_output(Place, method=method).invoke(text)
        assert res == Place(city="Rome"), (method, res)
    return {"text": "ok"}


def embeddings():
    from langchain_openai import OpenAIEmbeddings

    found = OpenAIEmbeddings(model="cohere.embed-english-v3", check_embedding_ctx_length=False, max_retries=0)
    assert len(found.embed_documents(["a", "b"])) == 2
    return {"text": "ok"}


run(
    plain=plain,
    stream=stream,
    tools=tools,
    structured=structured,
    embeddings=embeddings,
    error=lambda: chat(MISSING).invoke("hello"),
    throttle=lambda: chat(THROTTLED).invoke("hello"),
)
