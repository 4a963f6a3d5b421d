"""What SDKs do beside chats, each a line of JSON: `what` is asked, `of` whom, and what the SDK made of the answer."""

import json
import sys

import anthropic
import boto3
import cohere
import openai
from botocore.config import Config
from google import genai
from google.genai import types

PLAN = json.loads(sys.argv[1])
BASE = PLAN["base"]

# Its own check takes vectors in base64, which it asks for by itself, for no vectors.
openai_loose = openai.OpenAI(base_url=BASE + "/v1", api_key="sk-of-the-caller", max_retries=0, timeout=60)
openai_client = openai.OpenAI(base_url=BASE + "/v1", api_key="sk-of-the-caller", max_retries=0, timeout=60, _strict_response_validation=True)
anthropic_client = anthropic.Anthropic(base_url=BASE, api_key="sk-ant-of-the-caller", max_retries=0, timeout=60, _strict_response_validation=True)
gemini_client = genai.Client(api_key="AIza-of-the-caller", http_options=types.HttpOptions(base_url=BASE, timeout=60_000))
cohere_client = cohere.ClientV2(api_key="of-the-caller", base_url=BASE, timeout=60)
AWS = {"region_name": "us-east-1", "endpoint_url": BASE, "aws_access_key_id": "AKIDOFTHECALLER",
       "aws_secret_access_key": "of-the-caller", "config": Config(retries={"total_max_attempts": 1}, read_timeout=60)}
bedrock_client = boto3.client("bedrock-runtime", **AWS)
catalogue_client = boto3.client("bedrock", **AWS)

TEXT = "How high is a weir?"


def embed(model, form):
    texts = [TEXT] if "titan" in model else [TEXT, "It flows."]
    client = openai_client if form == "float" else openai_loose
    answer = client.embeddings.create(model=model, input=texts, encoding_format=form)
    lengths = [len(one.embedding) for one in answer.data]
    norms = [round(sum(x * x for x in one.embedding), 2) for one in answer.data]
    return {"indices": [one.index for one in answer.data], "lengths": lengths, "norms": norms, "tokens": answer.usage.prompt_tokens}


def rerank(model):
    answer = cohere_client.rerank(model=model, query="a weir", documents=["a dam", "a weir", "a bridge"], top_n=2)
    return {"indices": [one.index for one in answer.results], "scores": [one.relevance_score for one in answer.results],
            "id": bool(answer.id)}


COUNTS = {
    "openai": lambda model: openai_client.responses.input_tokens.count(model=model, input=TEXT).input_tokens,
    "anthropic": lambda model: anthropic_client.messages.count_tokens(
        model=model, messages=[{"role": "user", "content": TEXT}]).input_tokens,
    "gemini": lambda model: gemini_client.models.count_tokens(model=model, contents=TEXT).total_tokens,
    "bedrock": lambda model: bedrock_client.count_tokens(
        modelId=model, input={"converse": {"messages": [{"role": "user", "content": [{"text": TEXT}]}]}})["inputTokens"],
}

LISTS = {
    "openai": lambda: [model.id for model in openai_client.models.list()],
    "anthropic": lambda: [model.id for model in anthropic_client.models.list(limit=1000)],
    "gemini": lambda: [model.name.removeprefix("models/") for model in gemini_client.models.list(config={"query_base": True, "page_size": 1000})],
    "bedrock": lambda: [model["modelId"] for model in catalogue_client.list_foundation_models()["modelSummaries"]],
}


def tell(what, of, ask):
    try:
        said = {"said": ask()}
    except Exception as raised:
        said = {"error": f"{type(raised).__name__}: {raised}"[:500]}
    print(json.dumps({"what": what, "of": of, **said}), flush=True)


for model in PLAN["embedders"]:
    tell("embed", model, lambda: embed(model, openai.omit))
    tell("embed floats", model, lambda: embed(model, "float"))
for model in PLAN["rerankers"]:
    tell("rerank", model, lambda: rerank(model))
for name, count in COUNTS.items():
    for model in PLAN["chats"]:
        tell(f"count {name}", model, lambda: count(model))
for name, listed in LISTS.items():
    tell(f"list {name}", "", listed)
