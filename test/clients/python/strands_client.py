"""strands-agents, unmodified: an agent on BedrockModel. It repeats throttled calls for minutes, so none is made."""

from botocore.config import Config
from strands import Agent
from strands.models import BedrockModel

from report import MISSING, MODEL, run


def ask(model, streaming):
    bedrock = BedrockModel(model_id=model, streaming=streaming, boto_client_config=Config(retries={"max_attempts": 0}))
    agent = Agent(model=bedrock, callback_handler=None)
    return {"text": "".join(block.get("text", "") for block in agent("hello").message["content"])}


run(
    plain=lambda: ask(MODEL, streaming=False),
    stream=lambda: ask(MODEL, streaming=True),
    error=lambda: ask(MISSING, streaming=False),
)
