"""OpenAI's and Anthropic's Python SDKs, unmodified, reading streams that break: what each raises, and what came before.

CALLS has them: API, model, and the text that the stand-in breaks its answer to.
"""

import json
import os

from anthropic import Anthropic
from openai import OpenAI

from report import run

openai = OpenAI(base_url=os.environ["BASE"] + "/v1", api_key=os.environ["KEY"], max_retries=0)
anthropic = Anthropic(base_url=os.environ["BASE"], api_key=os.environ["KEY"], max_retries=0)


def chat(model, text):
    messages = [{"role": "user", "content": text}]
    for chunk in openai.chat.completions.create(model=model, messages=messages, stream=True):
        yield "".join(c.delta.content or "" for c in chunk.choices)


def responses(model, text):
    for event in openai.responses.create(model=model, input=text, stream=True):
        if event.type == "response.output_text.delta":
            yield event.delta


def messages(model, text):
    asked = {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": text}]}
    for event in anthropic.messages.create(**asked, stream=True):
        if event.type == "content_block_delta":
            yield event.delta.text


def broken(api, model, text):
    def call():
        said = ""
        try:
            for part in api(model, text):
                said += part
        except Exception as err:  # noqa: BLE001 - whatever the client raises
            return {"text": said, "error": type(err).__name__, "message": str(err)}
        return {"text": said}
    return call


run(**{" ".join(c): broken(globals()[c[0]], *c[1:]) for c in json.loads(os.environ["CALLS"])})
