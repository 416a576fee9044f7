"""boto3, unmodified, and LangChain where it is installed: what they ask of Bedrock's control plane at the gateway.

Prints JSON. PROFILE is an application inference profile that the gateway's model_map has, DENIED a model that the
tenant may not use.
"""

import importlib.util
import json
import os

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

URL, PROFILE, DENIED = os.environ["URL"], os.environ["PROFILE"], os.environ["DENIED"]
ONCE = Config(retries={"mode": "standard", "max_attempts": 1})

control = boto3.client("bedrock", endpoint_url=URL, config=ONCE)
runtime = boto3.client("bedrock-runtime", endpoint_url=URL, config=ONCE)


def error(call, **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        return {"type": e.response["Error"]["Code"], "status": e.response["ResponseMetadata"]["HTTPStatusCode"]}
    return {}


def profiles(**arguments):
    """All pages of the SDK's own paginator, of seven entries each."""
    pages = control.get_paginator("list_inference_profiles").paginate(PaginationConfig={"PageSize": 7}, **arguments)
    return [p for page in pages for p in page["inferenceProfileSummaries"]]


def boto():
    text = control.list_foundation_models(byOutputModality="TEXT", byInferenceType="ON_DEMAND")["modelSummaries"]
    every = profiles()
    system = next(p for p in every if p["inferenceProfileId"] == "us.amazon.nova-lite-v1:0")
    answer = runtime.converse(
        modelId=system["inferenceProfileArn"], messages=[{"role": "user", "content": [{"text": "hello"}]}]
    )
    return {
        "models": [m["modelId"] for m in text],
        "model": control.get_foundation_model(modelIdentifier="amazon.nova-lite-v1:0")["modelDetails"]["modelId"],
        "profiles": [p["inferenceProfileId"] for p in every],
        "applications": [p["inferenceProfileArn"] for p in profiles(typeEquals="APPLICATION")],
        "behind": control.get_inference_profile(inferenceProfileIdentifier=PROFILE)["models"][0]["modelArn"],
        "called": answer["output"]["message"]["content"][0]["text"],  # by the ARN of a list
        "denied": error(control.get_foundation_model, modelIdentifier=DENIED),
        "missing": error(control.get_inference_profile, inferenceProfileIdentifier="us.made.up-v1:0"),
        "invalid": error(control.list_inference_profiles, nextToken="!"),
        "other": error(control.list_guardrails),
        "write": error(
            control.create_guardrail, name="g", blockedInputMessaging="no", blockedOutputsMessaging="no"
        ),
        "custom": control.list_custom_models()["modelSummaries"]
        + control.list_imported_models()["modelSummaries"]
        + control.list_provisioned_model_throughputs()["provisionedModelSummaries"]
        + control.list_prompt_routers()["promptRouterSummaries"],
        "available": control.get_foundation_model_availability(modelId="amazon.nova-lite-v1:0")["authorizationStatus"],
    }


def langchain():
    from langchain_aws import ChatBedrock, ChatBedrockConverse

    converse = ChatBedrockConverse(model=PROFILE, endpoint_url=URL, region_name="us-east-1", provider="amazon")
    plain = ChatBedrock(model=PROFILE, endpoint_url=URL, region_name="us-east-1", provider="amazon")
    return {
        "base": converse.base_model_id,
        "text": converse.invoke("hello").content,
        "streamed": "".join(c.text if isinstance(c.text, str) else c.text() for c in converse.stream("hello")),
        "plain": plain.invoke("hello").content,
    }


out = {"boto": boto()}
if importlib.util.find_spec("langchain_aws"):
    out["langchain"] = langchain()
print(json.dumps(out))
