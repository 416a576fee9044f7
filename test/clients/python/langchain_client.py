"""langchain-aws, unmodified, by Converse."""

from botocore.config import Config
from langchain_aws import ChatBedrockConverse

from report import MISSING, MODEL, THROTTLED, run


def chat(model):
    return ChatBedrockConverse(
        model=model, provider="amazon", config=Config(retries={"mode": "standard", "max_attempts": 1})
    )


def text(message):
    content = message.content
    return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)


run(
    plain=lambda: {"text": text(chat(MODEL).invoke("hello"))},
    stream=lambda: {"text": "".join(text(chunk) for chunk in chat(MODEL).stream("hello"))},
    error=lambda: chat(MISSING).invoke("hello"),
    throttle=lambda: chat(THROTTLED).invoke("hello"),
)
