"""What the official SDKs make of a limit: the class they raise, and how often they ask."""

import json
import sys

import anthropic
import openai

# The mock's address answers both APIs; each SDK asks again twice at most, as it does by itself.
OPENAI = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="sk-of-the-caller", timeout=60)
ANTHROPIC = anthropic.Anthropic(base_url=sys.argv[1], api_key="sk-of-the-caller", timeout=60)
ASK = {"model": "alpha", "messages": [{"role": "user", "content": "Say something."}], "max_tokens": 5}


def attempt(call):
    try:
        call()
        return {"class": None}
    except (openai.APIStatusError, anthropic.APIStatusError) as raised:
        body = raised.response.json()["error"]
        return {"class": type(raised).__name__, "status": raised.status_code, "type": body["type"],
                "after": raised.response.headers.get("retry-after"),
                "retry": raised.response.headers.get("x-should-retry")}


print(json.dumps({
    "openai": attempt(lambda: OPENAI.chat.completions.create(**ASK)),
    "openai_stream": attempt(lambda: list(OPENAI.chat.completions.create(**ASK, stream=True))),
    "anthropic": attempt(lambda: ANTHROPIC.messages.create(**ASK)),
    "anthropic_stream": attempt(lambda: list(ANTHROPIC.messages.create(**ASK, stream=True))),
}))
