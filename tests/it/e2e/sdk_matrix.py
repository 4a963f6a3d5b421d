"""Every endpoint of the official SDK against one base URL: what each returns, and what it raises."""

import json
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="sk-of-the-caller", max_retries=0, timeout=60)
ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say something."}]}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
WAV = ("said.wav", b"RIFF\0\0\r\n--not-the-boundary\r\n" + bytes(range(256)), "audio/wav")
PNG = ("drawn.png", b"\x89PNG\r\n\x1a\n" * 100, "image/png")
LINES = ("a.jsonl", b"{}\n" * 1000)


def dumped(answer):
    """What an answer says, as JSON."""
    if hasattr(answer, "model_dump"):
        return answer.model_dump(mode="json", warnings=False)
    if hasattr(answer, "read"):
        return answer.read().hex()
    if hasattr(answer, "__next__") or hasattr(answer, "__stream__"):
        return [dumped(part) for part in answer]
    return answer


def spoken(**more):
    with client.audio.speech.with_streaming_response.create(model="mock/tts-1", voice="alloy", input="Water.", **more) as answer:
        return {"status": answer.status_code, "kind": answer.headers["content-type"], "bytes": b"".join(answer.iter_bytes()).hex()}


def chat(**more):
    return client.chat.completions.create(**{**ASK, **more})


def responses(**more):
    return client.responses.create(model="gpt-4o-mini", input="Say something.", **more)


def text(**more):
    return client.completions.create(model="mock", prompt="Once", max_tokens=5, **more)


# A name, and the call; `more` are headers that tell the mock what to do.
CALLS = {
    "chat": chat,
    "chat_stream": lambda **more: chat(stream=True, **more),
    "chat_tools": lambda **more: chat(tools=[TOOL], tool_choice="required", **more),
    "completion": text,
    "completion_stream": lambda **more: text(stream=True, **more),
    "response": responses,
    "response_stream": lambda **more: responses(stream=True, **more),
    "embeddings": lambda **more: client.embeddings.create(model="text-embedding-3-small", input=["one", "two"], **more),
    "embeddings_floats": lambda **more: client.embeddings.create(
        model="text-embedding-3-small", input="one", encoding_format="float", dimensions=8, **more),
    "image": lambda **more: client.images.generate(model="gpt-image-1", prompt="A weir.", n=2, **more),
    "image_edit": lambda **more: client.images.edit(model="gpt-image-1", image=PNG, prompt="More water.", **more),
    "image_variation": lambda **more: client.images.create_variation(model="dall-e-2", image=PNG, **more),
    "speech": spoken,
    "transcription": lambda **more: client.audio.transcriptions.create(model="whisper-1", file=WAV, **more),
    "transcription_tokens": lambda **more: client.audio.transcriptions.create(
        model="gpt-4o-transcribe", file=WAV, response_format="json", **more),
    "translation": lambda **more: client.audio.translations.create(model="whisper-1", file=WAV, **more),
    "moderation": lambda **more: client.moderations.create(model="omni-moderation-latest", input="Water.", **more),
    "rerank": lambda **more: client.post("/rerank", cast_to=object, body={
        "model": "rerank-v3.5", "query": "water", "documents": ["a", "b"]}, options={"headers": more.get("extra_headers", {})}),
    "file_create": lambda **more: client.files.create(file=LINES, purpose="batch", **more),
    "file_list": lambda **more: client.files.list(**more),
    "file": lambda **more: client.files.retrieve("file-1", **more),
    "file_content": lambda **more: client.files.content("file-1", **more),
    "file_delete": lambda **more: client.files.delete("file-1", **more),
    "batch_create": lambda **more: client.batches.create(
        input_file_id="file-1", endpoint="/v1/chat/completions", completion_window="24h", **more),
    "batch_list": lambda **more: client.batches.list(**more),
    "batch": lambda **more: client.batches.retrieve("batch-1", **more),
    "batch_cancel": lambda **more: client.batches.cancel("batch-1", **more),
}


def attempt(call, label, orders):
    try:
        return dumped(call(extra_headers={"x-mock-id": label, **orders}))
    except openai.APIStatusError as raised:
        return {"class": type(raised).__name__, "status": raised.status_code, "code": raised.code, "type": raised.type,
                "message": raised.message, "after": raised.response.headers.get("retry-after")}


ORDERS = {"answer": {}, "limited": {"x-mock-status": "429", "x-mock-retry-after": "3"}, "failed": {"x-mock-status": "500"}}
print(json.dumps({name: {kind: attempt(call, name, orders) for kind, orders in ORDERS.items()} for name, call in CALLS.items()}))
