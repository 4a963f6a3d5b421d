"""The official SDK against one base URL: what it returns and raises, as one JSON object."""

import json
import struct
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="sk-of-the-caller", max_retries=0, timeout=60)
chat = client.chat.completions
ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say something."}]}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}


def said(label, **more):
    """The arguments of one call: its label makes its ids the same wherever it is made."""
    headers = {"x-mock-id": label, **more.pop("orders", {})}
    return {**ASK, "extra_headers": headers, **more}


def whole():
    return chat.create(**said("whole", max_completion_tokens=7)).model_dump()


def stream(**more):
    return [chunk.model_dump() for chunk in chat.create(**said("stream", stream=True, **more))]


def stream_usage():
    return stream(stream_options={"include_usage": True})


def raw():
    response = chat.with_raw_response.create(**said("raw"))
    return {"status": response.status_code, "object": response.parse().object}


def lines():
    with chat.with_streaming_response.create(**said("lines", stream=True)) as response:
        return {"status": response.status_code, "lines": list(response.iter_lines())}


def helper():
    with chat.stream(**said("helper")) as stream:
        kinds = sorted({event.type for event in stream})
        return {"kinds": kinds, "content": stream.get_final_completion().choices[0].message.content}


def tools():
    completion = chat.create(**said("tools", tools=[TOOL], tool_choice="required"))
    return completion.choices[0].model_dump()


def tools_stream():
    chunks = chat.create(**said("tools-stream", tools=[TOOL], tool_choice="required", stream=True))
    parts = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
    return {"name": parts[0].function.name, "arguments": "".join(part.function.arguments for part in parts)}


def vision():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    parts = [{"type": "text", "text": "What is it?"}, image]
    return chat.create(**said("vision", messages=[{"role": "user", "content": parts}])).model_dump()


def embeddings():
    answer = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"], dimensions=8)
    return answer.model_dump()


def models():
    return [model.id for model in client.models.list()]


def model():
    return client.models.retrieve("gpt-4o-mini").model_dump()


def no_model():
    try:
        client.models.retrieve("no-such-model")
    except openai.NotFoundError as raised:
        return raised.code


WAV = ("said.wav", b"RIFF\0\0\r\n--not-the-boundary\r\n" + bytes(range(256)), "audio/wav")
# A second and a half of silence, 8,000 samples of two bytes a second.
TONE = ("tone.wav", b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
        + b"data" + struct.pack("<I", 24000) + bytes(24000), "audio/wav")
PNG = ("drawn.png", b"\x89PNG\r\n\x1a\n" * 100, "image/png")


def completions():
    return client.completions.create(model="mock", prompt="Once", max_tokens=5, extra_headers={"x-mock-id": "c"}).model_dump()


def images():
    return client.images.generate(model="gpt-image-1", prompt="A weir.", n=2).model_dump()


def image_edit():
    return client.images.edit(model="mock/dall-e-9", image=PNG, prompt="More water.", n=2).model_dump()


def image_variation():
    return client.images.create_variation(model="mock/dall-e-9", image=PNG).model_dump()


def speech():
    return client.audio.speech.create(model="mock/tts-1", voice="alloy", input="Water.").content.hex()


def transcription():
    return client.audio.transcriptions.create(model="whisper-1", file=WAV).model_dump()


def transcription_by_tokens():
    answer = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=WAV, response_format="json")
    return answer.model_dump()


def translation():
    return client.audio.translations.create(model="whisper-1", file=WAV).model_dump()


def moderation():
    return client.moderations.create(model="omni-moderation-latest", input="Water.").model_dump()


def images_stream():
    stream = client.images.generate(model="gpt-image-1", prompt="A weir.", stream=True, partial_images=1)
    return [event.type for event in stream]


def images_counted():
    return len(client.images.generate(model="grok-imagine-image", prompt="A weir.", n=3).data)


def speech_stream():
    ask = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Water.", "stream_format": "sse"}
    with client.audio.speech.with_streaming_response.create(**ask) as response:
        return list(response.iter_lines())


def transcription_verbose():
    return client.audio.transcriptions.create(model="whisper-1", file=WAV, response_format="verbose_json").duration


def transcription_text():
    return client.audio.transcriptions.create(model="whisper-1", file=TONE, response_format="text")


def transcription_stream():
    stream = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=WAV, stream=True)
    return [event.type for event in stream]


def rerank():
    body = {"model": "rerank-v3.5", "query": "water", "documents": ["a", "b"]}
    return client.post("/rerank", cast_to=object, body=body)


def files():
    file = client.files.retrieve("file-1")
    content = client.files.content("file-1").read()
    return {"retrieved": file.model_dump(), "content": content.decode()}


def upload():
    answer = client.post("/files", cast_to=object, files={"file": ("a.jsonl", b"{}\n" * 1000)}, body={"purpose": "batch"})
    return {"path": answer["path"], "much": answer["bytes"] > 3000}


def broken_off():
    seen = 0
    with chat.create(**said("broken", stream=True, orders={"x-mock-tokens": "400", "x-mock-spacing": "5"})) as stream:
        for _ in stream:
            seen += 1
            if seen == 3:
                break
    return seen


def error(**more):
    try:
        chat.create(**said("error", **more))
    except openai.APIStatusError as raised:
        after = raised.response.headers.get("retry-after")
        return {"class": type(raised).__name__, "status": raised.status_code, "code": raised.code,
                "type": raised.type, "param": raised.param, "after": after}
    except openai.APIError as raised:
        return {"class": type(raised).__name__, "code": raised.code}


def errors():
    found = {status: error(orders={"x-mock-status": status, "x-mock-retry-after": "3"})
             for status in ["400", "401", "403", "404", "409", "422", "429", "500", "503"]}
    try:
        list(chat.create(**said("in-stream", stream=True, orders={"x-mock-error-event": "3"})))
    except openai.APIError as raised:
        found["stream"] = {"class": type(raised).__name__, "code": raised.code}
    return found


def refusals():
    return {"unknown": error(model="no-such-model"), "keyless": error(model="two/gpt-4o"),
            "odd": error(model=17)}


CALLS = [whole, stream, stream_usage, raw, lines, helper, tools, tools_stream, vision, embeddings, models, model, no_model, upload,
         broken_off, errors, completions, images, image_edit, image_variation, speech, transcription,
         transcription_by_tokens, translation, moderation, files]
MEDIA = [images_stream, images_counted, speech_stream, transcription_verbose, transcription_text,
         transcription_stream, rerank]
CALLS += MEDIA
if "--media" in sys.argv:
    CALLS = [images, image_edit, speech, transcription, transcription_by_tokens, translation, moderation, *MEDIA]
if "--refusals" in sys.argv:
    CALLS = [refusals]
print(json.dumps({call.__name__: call() for call in CALLS}))
