"""boto3, unmodified: knowledge bases and agents of bedrock-agent-runtime at the gateway. Prints JSON."""

import json
import os

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

URL, RERANK, NOVA = os.environ["URL"], os.environ["RERANK"], os.environ["NOVA"]
KB, AGENT, ALIAS = "KBACME0001", "AGACME0001", "ALACME0001"
client = boto3.client(
    "bedrock-agent-runtime", endpoint_url=URL, config=Config(retries={"mode": "standard", "max_attempts": 1})
)


def error(call, **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        return f'{e.response["ResponseMetadata"]["HTTPStatusCode"]} {e.response["Error"]["Code"]}'
    return "no error"


def ranking(model):
    return {
        "type": "BEDROCK_RERANKING_MODEL",
        "bedrockRerankingConfiguration": {"modelConfiguration": {"modelArn": model}},
    }


def generation(kb, model):
    return {
        "type": "KNOWLEDGE_BASE",
        "knowledgeBaseConfiguration": {"knowledgeBaseId": kb, "modelArn": model},
    }


def rerank(documents, model=RERANK):
    source = {
        "type": "INLINE",
        "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": "a page"}},
    }
    return client.rerank(
        queries=[{"type": "TEXT", "textQuery": {"text": "which page"}}],
        sources=[source] * documents,
        rerankingConfiguration=ranking(model),
    )["results"]


def agent(text, trace, agent_id=AGENT):
    answer = client.invoke_agent(
        agentId=agent_id, agentAliasId=ALIAS, sessionId="agent-session-1", inputText=text, enableTrace=trace
    )
    events = list(answer["completion"])
    return {
        "session": answer["sessionId"],
        "text": "".join(e["chunk"]["bytes"].decode() for e in events if "chunk" in e),
        "traces": sum("trace" in e for e in events),
    }


def generate(kb=KB, model=NOVA):
    return client.retrieve_and_generate(
        input={"text": "hello"}, retrieveAndGenerateConfiguration=generation(kb, model)
    )["output"]["text"]


def main():
    retrieved = client.retrieve(knowledgeBaseId=KB, retrievalQuery={"text": "hello"})
    streamed = client.retrieve_and_generate_stream(
        input={"text": "hello"}, retrieveAndGenerateConfiguration=generation(KB, NOVA)
    )
    print(
        json.dumps(
            {
                "retrieved": retrieved["retrievalResults"][0]["content"]["text"],
                "first": rerank(101)[0]["index"],
                "generated": generate(),
                "streamed": "".join(e["output"]["text"] for e in streamed["stream"]),
                "agent": agent("hello", True),
                "quiet": agent("hello", False),
                "other_kb": error(generate, kb="KBOTHER001"),
                "other_agent": error(agent, text="x", trace=False, agent_id="AGOTHER001"),
                "foreign": error(rerank, documents=1, model=RERANK.replace("us-east-1::", "us-east-1:999999999999:")),
                "denied": error(generate, model=NOVA.replace("nova-lite", "nova-pro")),
                "no_path": error(client.retrieve, knowledgeBaseId="KBOTHER001", retrievalQuery={"text": "x"}),
            }
        )
    )


main()
