"""Asks the gateway at BASE for the requests of a file that shapes.py has printed, and holds each answer against the
official clients' own types: whole answers, every event of a stream, and errors. Prints what it saw as JSON.

    python answers.py FILE
"""

import base64
import json
import os
import struct
import sys

import anthropic.types
import httpx
import openai.types
import openai.types.chat
import openai.types.responses
from pydantic import TypeAdapter

WHOLE = {
    "/v1/chat/completions": openai.types.chat.ChatCompletion,
    "/v1/responses": openai.types.responses.Response,
    "/v1/embeddings": openai.types.CreateEmbeddingResponse,
    "/v1/messages": anthropic.types.Message,
    "/v1/messages/count_tokens": anthropic.types.MessageTokensCount,
}
EVENTS = {
    "/v1/chat/completions": openai.types.chat.ChatCompletionChunk,
    "/v1/responses": openai.types.responses.ResponseStreamEvent,
    "/v1/messages": anthropic.types.RawMessageStreamEvent,
}
ADAPTERS = {kind: TypeAdapter(kind) for kind in [*WHOLE.values(), *EVENTS.values()]}


def main(file):
    seen, wrong, models = {}, [], os.environ["MODELS"].split(",")
    headers = {"x-api-key": os.environ["KEY"], "anthropic-version": "2023-06-01"}
    with httpx.Client(base_url=os.environ["BASE"], headers=headers, timeout=600) as http, open(file) as lines:
        for n, line in enumerate(lines):
            asked = json.loads(line)
            path, body = asked["path"], asked["body"]
            body["model"] = "cohere.embed-v4:0" if path == "/v1/embeddings" else models[n % len(models)]
            for stream in (False, True) if path in EVENTS else (None,):
                if stream is not None:
                    body["stream"] = stream
                res = http.post(path, json=body)
                said = f"{path} {res.status_code}{' stream' if stream else ''}"
                seen[said] = seen.get(said, 0) + 1
                try:
                    check(path, stream, res, body.get("encoding_format"))
                except Exception as err:  # noqa: BLE001 - whatever is wrong with the answer
                    wrong.append(f"{err!r:.600} of {json.dumps(body):.2000}: {res.status_code} {res.text:.2000}")
    print(json.dumps({"seen": seen, "wrong": wrong[:20]}))


def check(path, stream, res, encoding):
    if res.status_code == 400:
        error = res.json()["error"]
        assert error["message"] and error["type"] == "invalid_request_error", error
        return
    assert res.status_code == 200, "neither 200 nor 400"
    if not stream:
        answer = res.json()
        for item in answer["data"] if encoding == "base64" else ():  # which the client decodes
            data = base64.b64decode(item["embedding"])
            item["embedding"] = list(struct.unpack(f"<{len(data) // 4}f", data))
        ADAPTERS[WHOLE[path]].validate_python(answer)
        return
    events = [line[6:] for line in res.text.split("\n") if line.startswith("data: ")]
    if path == "/v1/chat/completions":
        assert events.pop() == "[DONE]", "no [DONE]"
    for event in events:
        ADAPTERS[EVENTS[path]].validate_json(event)


if __name__ == "__main__":
    main(sys.argv[1])
