"""Prints random valid requests of OpenAI's and Anthropic's APIs, a line of JSON each.

Their shapes are those of the official clients, which are generated from the vendors' OpenAPI documents: each parameter
of a call is a TypedDict, and this program walks them. Free text is a numbered word, so that whoever translates the
request can be asked where each word went. What the shapes do not say and the APIs want is mended afterwards: results
of tools belong to calls, ids are given once, and data is data of its kind.

    python shapes.py SEED NUMBER
"""

import base64
import collections.abc
import json
import random
import sys
import types
import typing

import anthropic.types.message_create_params as messages
import anthropic.types.message_count_tokens_params as count_tokens
import openai.types.chat.completion_create_params as chat
import openai.types.embedding_create_params as embeddings
import openai.types.responses.response_create_params as responses
import typing_extensions

APIS = {
    "/v1/chat/completions": chat.CompletionCreateParamsNonStreaming,
    "/v1/responses": responses.ResponseCreateParamsNonStreaming,
    "/v1/embeddings": embeddings.EmbeddingCreateParams,
    "/v1/messages": messages.MessageCreateParamsNonStreaming,
    "/v1/messages/count_tokens": count_tokens.MessageCountTokensParams,
}
REQUIRED = (typing.Required, typing_extensions.Required)
WRAPPERS = REQUIRED + (typing.Annotated, typing_extensions.Annotated, typing.NotRequired, typing_extensions.NotRequired)
RANGES = {"top_p": (0, 1), "top_logprobs": (0, 20), "n": (1, 2), "dimensions": (1, 1024), "budget_tokens": (1024, 2048),
          "max_tokens": (1, 4096), "max_output_tokens": (16, 4096), "max_completion_tokens": (1, 4096), "top_k": (1, 40),
          "frequency_penalty": (-2, 2), "presence_penalty": (-2, 2), "partial_images": (0, 3), "temperature": (0, 1)}
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00"
LETTERS = ["a", "b", "c", " ", "ä", "価", '"', "\\", "<", "\n", "{", "0", "\U0001f642", "\u2028"]


class Walker:
    def __init__(self, rng):
        self.rng, self.words, self.density = rng, 0, rng.choice((0.03, 0.1, 0.3))

    def word(self):
        self.words += 1
        return f"w{self.words}w"

    def text(self):
        return self.word() + "".join(self.rng.choice(LETTERS) for _ in range(self.rng.randrange(6))) + "."

    def schema(self):
        return {"type": "object", "properties": {self.word(): {"type": "string", "description": self.text()}}}

    def string(self, name, within):
        if name in ("model",):
            return "MODEL"
        if name in ("id", "call_id", "tool_call_id", "tool_use_id", "item_id", "name", "user", "safety_identifier",
                    "prompt_cache_key", "title", "file_name", "filename"):
            return self.word()
        if name in ("arguments",):
            return json.dumps({self.word(): self.text()})
        if name in ("url", "image_url"):
            if self.rng.random() < 0.2:
                return "https://example.com/" + self.word()
            return "data:image/png;base64," + self.data(PNG)
        if name in ("data", "file_data"):
            pdf = "pdf" in json.dumps(within) or name == "file_data"
            data = self.data(b"%PDF-1.4\n" if pdf else PNG)
            return "data:application/pdf;base64," + data if name == "file_data" else data
        return self.text()

    def data(self, head):
        return base64.b64encode(head + self.word().encode()).decode()

    def make(self, kind, name="", depth=0, within=None):
        origin, args = typing.get_origin(kind), typing.get_args(kind)
        if origin in WRAPPERS:
            return self.make(args[0], name, depth, within)
        if isinstance(kind, typing_extensions.TypeAliasType):
            return self.make(kind.__value__, name, depth, within)
        if origin in (typing.Literal, typing_extensions.Literal):
            return self.rng.choice(args)
        if origin in (typing.Union, types.UnionType):
            return self.union([a for a in args if plain(a)], name, depth, within)
        if origin is dict or origin is collections.abc.Mapping:
            return self.mapping(args, name, depth)
        if is_list(origin):
            n = self.rng.choice((1, 1, 1, 2, 3) if depth < 5 else (1,))
            return [self.make(args[0], name, depth + 1, within) for _ in range(n)]
        if typing_extensions.is_typeddict(kind):
            return self.members(kind, depth)
        return self.scalar(kind, name, within)

    def union(self, args, name, depth, within):
        if depth > 6:  # whatever does not go deeper, if there is such a thing
            args = [a for a in args if a in (str, bool, int, float, type(None))] or args[:1]
        if type(None) in args and self.rng.random() < 0.9:
            args = [a for a in args if a is not type(None)] or args
        return self.make(self.rng.choice(args), name, depth, within)

    def mapping(self, args, name, depth):
        if args and args[1] is str:
            return {self.word(): self.text()}
        if args and args[1] in (int, float):
            return {str(self.rng.randrange(100)): 1}
        if args and args[1] is not object and depth < 6:
            return {self.word(): self.make(args[1], name, depth + 1)}
        return self.schema() if "schema" in name or name == "parameters" else {self.word(): self.text()}

    def members(self, kind, depth):
        out = {}
        hints = typing_extensions.get_type_hints(kind, include_extras=True)
        for name, hint in sorted(hints.items(), key=lambda m: m[0] != "type" and m[0] != "media_type"):
            needed = typing.get_origin(hint) in REQUIRED
            if needed or self.rng.random() < self.density / (1 + depth / 4):
                out[name] = self.make(hint, name, depth + 1, out)
        return out

    def scalar(self, kind, name, within):
        if kind is str:
            return self.string(name, within)
        if kind is bool:
            return self.rng.random() < 0.5
        low, high = RANGES.get(name, (1, 100))
        if kind is int:
            return self.rng.randint(int(low), int(high))
        if kind is float:
            return round(self.rng.uniform(low, high), 2)
        if kind in (object, typing.Any):
            return {self.word(): self.text()} if name == "input" else self.text()
        if kind is type(None):
            return None
        raise TypeError(f"{name}: {kind}")


def is_list(origin):
    return isinstance(origin, type) and (
        issubclass(origin, collections.abc.Iterable) or origin.__name__ == "SequenceNotStr")


def plain(kind):
    """Whether JSON can have it: the clients take files and their own objects too."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, typing_extensions.TypeAliasType):
        return plain(kind.__value__)
    if origin in WRAPPERS or is_list(origin):
        return plain(args[0])
    if origin in (typing.Union, types.UnionType):
        return any(plain(a) for a in args)
    if origin is not None:
        return origin in (typing.Literal, typing_extensions.Literal, dict, collections.abc.Mapping)
    return typing_extensions.is_typeddict(kind) or kind in (str, bool, int, float, object, type(None), typing.Any)


def mend(path, body):
    """Gives results of tools a call before them. Without one the request would not be valid."""
    if path == "/v1/chat/completions":
        body["messages"] = mend_chat(body["messages"])
    if path == "/v1/responses":
        body["input"] = mend_responses(body["input"]) if isinstance(body.get("input"), list) else body.get("input") or "hi"
    if path.startswith("/v1/messages"):
        body["messages"] = mend_messages(body["messages"])
    body["model"] = "MODEL"
    return body


def mend_chat(turns):
    out = []
    for turn in turns:
        if turn["role"] == "tool":
            call = {"id": turn["tool_call_id"], "type": "function",
                    "function": {"name": "f_" + turn["tool_call_id"], "arguments": "{}"}}
            out.append({"role": "assistant", "content": None, "tool_calls": [call]})
        out.append(turn)
        for call in turn.get("tool_calls") or () if turn["role"] == "assistant" else ():
            out.append({"role": "tool", "tool_call_id": call["id"], "content": "r_" + call["id"]})
    return out if out[-1]["role"] in ("user", "tool") else out + [{"role": "user", "content": "hi"}]


def mend_responses(items):
    out = []
    for item in items:
        kind = item.get("type", "message")
        if kind in ("function_call_output", "custom_tool_call_output"):
            known = item.setdefault("call_id", "known")
            call = {"type": kind.removesuffix("_output"), "call_id": known, "name": "f_" + known}
            call["arguments" if kind.startswith("function") else "input"] = "{}"
            out.append(call)
        out.append(item)
        if kind in ("function_call", "custom_tool_call"):
            known = item.setdefault("call_id", "known")
            out.append({"type": kind + "_output", "call_id": known, "output": "r_" + known})
    return out


def mend_messages(turns):
    out = []
    for turn in turns:
        if isinstance(turn["content"], str):
            out.append(turn)
            continue
        blocks = turn["content"]
        if turn["role"] == "assistant":
            turn["content"] = [b for b in blocks if b["type"] not in ("tool_result", "image", "document")] or "hello"
            calls = [b["id"] for b in blocks if b["type"] == "tool_use"]
            out.append(turn)
            if calls:
                out.append({"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": c, "content": "r_" + c} for c in calls]})
            continue
        if turn["role"] == "system":
            turn["content"] = [b for b in blocks if b["type"] == "text"] or "hello"
            out.append(turn)
            continue
        results = [b for b in blocks if b["type"] == "tool_result"]
        turn["content"] = results + [b for b in blocks if b["type"] not in (
            "tool_result", "tool_use", "thinking", "redacted_thinking")] or "hello"
        if results:
            out.append({"role": "assistant", "content": [
                {"type": "tool_use", "id": r["tool_use_id"], "name": "f_" + r["tool_use_id"], "input": {}}
                for r in results]})
        out.append(turn)
    return out if out[0]["role"] == "user" else [{"role": "user", "content": "hi"}] + out


def main(seed, number):
    for n in range(number):
        for path, shape in APIS.items():
            walker = Walker(random.Random(f"{seed} {n} {path}"))
            body = mend(path, walker.make(shape))
            print(json.dumps({"path": path, "body": body}, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
