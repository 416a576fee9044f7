"""Asks each model of CASES once, by defaults of the client that the argument names, and prints nothing: the server
counts what is repeated. READ_TIMEOUT bounds the wait for an answer, in seconds."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

CASES, TIMEOUT = os.environ["CASES"].split(","), float(os.environ["READ_TIMEOUT"])


def boto(mode):
    import boto3
    from botocore.config import Config

    retries = {"mode": mode} if mode else None  # the default is legacy
    client = boto3.client("bedrock-runtime", config=Config(read_timeout=TIMEOUT, retries=retries, max_pool_connections=99))
    return lambda case: client.converse(modelId=case, messages=[{"role": "user", "content": [{"text": "hello"}]}])


def anthropic():
    from anthropic import AnthropicBedrock

    client = AnthropicBedrock(timeout=TIMEOUT)
    message = {"role": "user", "content": "hello"}
    return lambda case: client.messages.create(model=case, max_tokens=64, messages=[message])


def attempt(case):
    try:
        ask(case)
    except Exception:  # which one does not matter here
        pass


kind = sys.argv[1]
ask = anthropic() if kind == "anthropic" else boto(kind.removeprefix("boto3").strip("-"))
with ThreadPoolExecutor(len(CASES)) as pool:
    list(pool.map(attempt, CASES))
