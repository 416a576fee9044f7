"""Asks the gateway at BASE for a stream of each API, whose upstream says all that Converse can say, and holds every event
against the official clients' own types: required members, and the types that the clients know. Prints what is wrong.
"""

import json
import os

import httpx

from answers import check

HI = [{"role": "user", "content": "hi"}]
ASKED = {
    "/v1/chat/completions": {"messages": HI, "stream_options": {"include_usage": True}},
    "/v1/responses": {"input": "hi", "include": ["reasoning.encrypted_content"]},
    "/v1/messages": {"messages": HI, "max_tokens": 64},
}

wrong = {}
headers = {"x-api-key": os.environ["KEY"], "anthropic-version": "2023-06-01"}
with httpx.Client(base_url=os.environ["BASE"], headers=headers, timeout=60) as http:
    for path, more in ASKED.items():
        res = http.post(path, json={"model": os.environ["MODEL"], "stream": True, **more})
        try:
            check(path, True, res, None)
            missing = [word for word in ("thinks", "says", "call_me") if word not in res.text]
            assert not missing, missing
        except Exception as err:  # noqa: BLE001 - whatever is wrong with the answer
            wrong[path] = {"error": f"{err!r:.800} of {res.text:.2000}"}
print(json.dumps(wrong))
