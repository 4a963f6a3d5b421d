import openai
from openai.lib.streaming.responses._responses import ResponseStreamState

client = openai.OpenAI(
    base_url=PLAN["base"] + "/v1", api_key="sk-of-the-caller", max_retries=0, timeout=60, _strict_response_validation=True)


def part(piece):
    if "text" in piece:
        return {"type": "input_text", "text": piece["text"]}
    return {"type": "input_image", "detail": "auto", "image_url": f"data:{piece['media']};base64,{piece['data']}"}


def items(case, before):
    told = [{"role": "user", "content": [part(piece) for piece in case["user"]]}]
    if before:
        # What was thought goes back as it came: a client that keeps no state at the provider does so.
        told += before["items"]
        told += [{"type": "function_call_output", "call_id": call["id"], "output": case["result"]} for call in before["calls"]]
    return told


def request(model, case, before):
    asked = {"model": model, "input": items(case, before), "instructions": case.get("system"), "max_output_tokens": case.get("max"), "store": False}
    if case.get("tools"):
        asked["tools"] = [{"type": "function", "name": name, "description": describe(name), "parameters": PARAMETERS, "strict": False}
                          for name in case["tools"]]
        choice = case.get("choice")
        asked["tool_choice"] = {"type": "function", **choice} if isinstance(choice, dict) else choice
    if case.get("schema"):
        asked["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": case["schema"], "strict": True}}
    if case.get("effort"):
        asked["reasoning"] = {"effort": case["effort"], "summary": "auto"}
        asked["include"] = ["reasoning.encrypted_content"]
    for name in ("temperature", "top_p"):
        asked[name] = case.get(name)
    return {name: value for name, value in asked.items() if value is not None}


def finish(answer, calls):
    if answer.status == "incomplete":
        return {"max_output_tokens": "length", "content_filter": "filter"}.get(answer.incomplete_details.reason)
    return ("tool" if calls else "stop") if answer.status == "completed" else answer.status


def tell_answer(answer, illegal, headers):
    illegal.unless(answer.object == "response", f"object {answer.object}")
    illegal.unless(len({item.id for item in answer.output}) == len(answer.output), "two items have one id")
    calls, text, thoughts = [], "", ""
    for item in answer.output:
        if item.type == "message":
            illegal.unless(item.role == "assistant", f"a message of {item.role}")
            text += "".join(content.text for content in item.content if content.type == "output_text")
        elif item.type == "reasoning":
            thoughts += "".join(summary.text for summary in item.summary)
            thoughts += "".join(content.text for content in item.content or [])
        elif item.type == "function_call":
            calls.append({"id": item.call_id, "name": item.name, "arguments": parsed(item.arguments)})
        else:
            illegal.append(f"an item of type {item.type}")
    usage = answer.usage and {
        "input": answer.usage.input_tokens, "output": answer.usage.output_tokens, "total": answer.usage.total_tokens,
        "cached": answer.usage.input_tokens_details.cached_tokens, "reasoning": answer.usage.output_tokens_details.reasoning_tokens}
    back = [item.to_dict(mode="json", exclude_none=True) for item in answer.output]
    told = said(illegal, text=text, thoughts=thoughts, calls=calls, finish=finish(answer, calls), usage=usage, model=answer.model,
                id=answer.id, request=headers.get("x-weir-request-id"))
    return {**told, "items": back}


# What begins a piece, what goes on, and what ends it.
PIECES = {
    "response.output_text": ("response.content_part.added", "text"),
    "response.refusal": ("response.content_part.added", "refusal"),
    "response.function_call_arguments": ("response.output_item.added", "arguments"),
    "response.reasoning_summary_text": ("response.reasoning_summary_part.added", "text"),
    "response.reasoning_text": ("response.content_part.added", "text"),
}
ENDS = ("response.completed", "response.incomplete", "response.failed")


class Order:
    """Holds the events of a stream against the order in which OpenAI sends them."""

    def __init__(self, illegal):
        self.illegal, self.number, self.items, self.done, self.text, self.last = illegal, 0, {}, {}, {}, None

    def event(self, event):
        unless, kind = self.illegal.unless, event.type
        unless(event.sequence_number == self.number, f"{kind} has number {event.sequence_number}, not {self.number}")
        self.number += 1
        unless(self.last not in ENDS, f"{kind} after the end")
        unless(self.last is not None or kind == "response.created", f"the first event is {kind}")
        self.last = kind
        if kind == "response.output_item.added":
            unless(event.output_index == len(self.items), f"item {event.output_index} comes after {len(self.items)} others")
            self.items[event.output_index] = event.item.id
        elif kind == "response.output_item.done":
            unless(self.items.get(event.output_index) == event.item.id, "an item that did not begin is done")
            unless(event.output_index not in self.done, "an item is done twice")
            self.done[event.output_index] = event.item
        elif hasattr(event, "item_id"):
            unless(self.items.get(event.output_index) == event.item_id, f"{kind} of an item that did not begin")
            unless(event.output_index not in self.done, f"{kind} of an item that is done")
            self.piece(event)

    def piece(self, event):
        stem, _, step = event.type.rpartition(".")
        place = (event.output_index, getattr(event, "content_index", getattr(event, "summary_index", None)), stem)
        if step == "delta" and stem in PIECES:
            self.text[place] = self.text.get(place, "") + event.delta
        elif step == "done" and stem in PIECES:
            whole = getattr(event, PIECES[stem][1])
            self.illegal.unless(self.text.get(place, "") == whole, f"{event.type} says {whole!r}, the deltas {self.text.get(place)!r}")

    def end(self, answer):
        self.illegal.unless(sorted(self.done) == sorted(self.items), "items that began are not done")
        done = [self.done[index].to_dict(mode="json") for index in sorted(self.done)]
        output = [item.to_dict(mode="json") for item in answer.output]
        self.illegal.unless(done == output, f"the last event's output is not what was done: {output} {done}")


def streamed(stream, illegal, begun, headers):
    order, state, last = Order(illegal), ResponseStreamState(input_tools=openai.omit, text_format=openai.omit), None
    for event in stream:
        if event.type == "error":
            raise InStream(event, headers)
        order.event(event)
        if event.type == "response.failed":
            raise InStream(event.response.error, headers)
        if event.type.endswith(".delta"):
            begun.append(event.delta)
        if event.type in ENDS:
            last = event.response
        state.handle_event(event)
    if not illegal.unless(last is not None, "the stream has no end"):
        return said(illegal, request=headers.get("x-weir-request-id"))
    order.end(last)
    return tell_answer(last, illegal, headers)


class InStream(Exception):
    """An error that this SDK gives as an event, and leaves to its caller."""

    def __init__(self, event, headers):
        super().__init__(event.message)
        self.code, self.headers = event.code, headers


def ask(model, case, headers, before, begun):
    asked, illegal = request(model, case, before), Illegal()
    if case["stream"]:
        with client.responses.with_streaming_response.create(**asked, stream=True, extra_headers=headers) as raw:
            return streamed(raw.parse(), illegal, begun, raw.headers)
    raw = client.responses.with_raw_response.create(**asked, extra_headers=headers)
    return tell_answer(raw.parse(), illegal, raw.headers)


def failed(raised):
    if isinstance(raised, InStream):
        return {"class": "APIError", "status": None, "kind": None, "code": raised.code, "message": str(raised), "after": None,
                "request": raised.headers.get("x-weir-request-id")}
    if isinstance(raised, openai.APIResponseValidationError) or not isinstance(raised, openai.APIError):
        return None
    response = getattr(raised, "response", None)
    headers = {} if response is None else response.headers
    return {"class": type(raised).__name__, "status": getattr(raised, "status_code", None), "kind": raised.type, "code": raised.code,
            "message": raised.message, "after": headers.get("retry-after"), "request": headers.get("x-weir-request-id")}


run("openai-responses", ask, failed)
