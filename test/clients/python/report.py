"""Each client runs the same calls and prints what its user would see, as JSON."""

import json
import os

MODEL = os.environ.get("MODEL", "amazon.nova-lite-v1:0")
MISSING = "does-not-exist"
THROTTLED = os.environ.get("THROTTLED_MODEL", "amazon.nova-micro-v1:0")


def failure(err):
    """What a failure says: botocore's own error, the HTTP status of others, or of what caused it."""
    response = getattr(err, "response", None)
    if isinstance(response, dict):
        return {
            "error": response["Error"]["Code"],
            "status": response["ResponseMetadata"]["HTTPStatusCode"],
            "message": response["Error"]["Message"],
        }
    if getattr(err, "status_code", None):
        return {"error": type(err).__name__, "status": err.status_code, "message": str(err)}
    if err.__cause__ is not None:
        return failure(err.__cause__)
    raise err


def outcome(call):
    try:
        return call()
    except Exception as err:  # noqa: BLE001 - whatever the client raises
        return failure(err)


def run(**calls):
    print(json.dumps({name: outcome(call) for name, call in calls.items()}))
