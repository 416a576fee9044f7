"""llama-index-llms-openai and -anthropic, unmodified: API is chat, responses or messages. Endpoints and keys come from
the environment. LlamaIndex looks up how long a context of a model is, and so knows only the names of its own list."""

import os

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool

from report import run

API, NAMES = os.environ["API"], os.environ["NAMES"].split(",")


def llm(model=NAMES[0]):
    if API == "messages":
        from llama_index.llms.anthropic import Anthropic

        return Anthropic(model=model, max_tokens=64, max_retries=0)
    from llama_index.llms.openai import OpenAI, OpenAIResponses

    kind = OpenAIResponses if API == "responses" else OpenAI
    return kind(model=model, max_retries=0)


def weather(city: str) -> str:
    """Tells the weather."""
    return f"sunny in {city}"


HELLO = [ChatMessage(role="system", content="be kind"), ChatMessage(role="user", content="hello")]
TOOLS = [FunctionTool.from_defaults(weather)]


def stream():
    last = None
    for last in llm().stream_chat(HELLO):
        pass
    return {"text": last.message.content}


def tools():
    """A call, once whole and once streamed, and the answer to its result."""
    asked = ChatMessage(role="user", content="use a tool")
    last = None
    for last in llm().stream_chat_with_tools(TOOLS, chat_history=[asked]):
        pass
    called = llm().chat_with_tools(TOOLS, chat_history=[asked])
    for res in (called, last):
        calls = llm().get_tool_calls_from_response(res)
        assert [c.tool_kwargs for c in calls] == [{"city": "Rome"}], res
    call = llm().get_tool_calls_from_response(called)[0]
    result = ChatMessage(role="tool", content=weather(**call.tool_kwargs),
                         additional_kwargs={"tool_call_id": call.tool_id})
    res = llm().chat_with_tools(TOOLS, chat_history=[asked, called.message, result, HELLO[1]])
    return {"text": res.message.content}


run(
    plain=lambda: {"text": llm().chat(HELLO).message.content},
    stream=stream,
    tools=tools,
    error=lambda: llm(NAMES[1]).chat(HELLO),
    throttle=lambda: llm(NAMES[2]).chat(HELLO),
)
