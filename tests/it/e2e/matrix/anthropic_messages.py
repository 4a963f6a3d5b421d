import anthropic

client = anthropic.Anthropic(
    base_url=PLAN["base"], api_key="sk-ant-of-the-caller", max_retries=0, timeout=60, _strict_response_validation=True)
FINISH = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool", "refusal": "filter"}
RAW = {"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"}
# Which deltas a block may have.
DELTAS = {"text": {"text_delta", "citations_delta"}, "tool_use": {"input_json_delta"},
          "thinking": {"thinking_delta", "signature_delta"}, "redacted_thinking": set()}


def part(piece):
    if "text" in piece:
        return {"type": "text", "text": piece["text"]}
    return {"type": "image", "source": {"type": "base64", "media_type": piece["media"], "data": piece["data"]}}


def messages(case, before):
    told = [{"role": "user", "content": [part(piece) for piece in case["user"]]}]
    if before:
        told.append({"role": "assistant", "content": before["blocks"]})
        told.append({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": call["id"], "content": case["result"]} for call in before["calls"]]})
    return told


def request(model, case, before):
    asked = {"model": model, "messages": messages(case, before), "max_tokens": case.get("max") or 4096}
    if case.get("system"):
        asked["system"] = case["system"]
    if case.get("tools"):
        asked["tools"] = [{"name": name, "description": describe(name), "input_schema": PARAMETERS} for name in case["tools"]]
        choice = case.get("choice")
        if isinstance(choice, dict):
            asked["tool_choice"] = {"type": "tool", **choice}
        elif choice:
            asked["tool_choice"] = {"type": "any" if choice == "required" else choice}
    if case.get("schema"):
        asked["output_config"] = {"format": {"type": "json_schema", "schema": case["schema"]}}
    if case.get("effort"):
        asked["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    if case.get("stop"):
        asked["stop_sequences"] = case["stop"]
    # The API refuses what the model's thinking does not go with, and the SDK says both by keyword.
    for name in ("temperature", "top_p"):
        if case.get(name) is not None:
            asked.setdefault("extra_body", {})[name] = case[name]
    return asked


def tell_answer(answer, illegal, headers):
    illegal.unless(answer.type == "message" and answer.role == "assistant", f"{answer.type} of {answer.role}")
    calls, text, thoughts = [], "", ""
    for block in answer.content:
        if block.type == "text":
            text += block.text
        elif block.type == "thinking":
            thoughts += block.thinking
        elif block.type == "tool_use":
            illegal.unless(isinstance(block.input, dict), f"arguments {block.input!r}")
            calls.append({"id": block.id, "name": block.name, "arguments": block.input})
        else:
            illegal.unless(block.type == "redacted_thinking", f"a block of type {block.type}")
    read, write = answer.usage.cache_read_input_tokens or 0, answer.usage.cache_creation_input_tokens or 0
    inward = answer.usage.input_tokens + read + write
    usage = {"input": inward, "output": answer.usage.output_tokens, "cached": read, "reasoning": 0,
             "total": inward + answer.usage.output_tokens}
    told = said(illegal, text=text, thoughts=thoughts, calls=calls, finish=FINISH.get(answer.stop_reason, answer.stop_reason), usage=usage,
                model=answer.model, id=answer.id, request=headers.get("x-weir-request-id"))
    return {**told, "blocks": [block.to_dict(mode="json", exclude_none=True) for block in answer.content]}


class Order:
    """Holds the events of a stream against the order in which Anthropic sends them."""

    def __init__(self, illegal):
        self.illegal, self.last, self.open, self.count = illegal, None, None, 0

    def event(self, event):
        unless, kind = self.illegal.unless, event.type
        unless((self.last is None) == (kind == "message_start"), f"{kind} after {self.last}")
        unless(self.last != "message_stop", f"{kind} after the end")
        if kind == "message_start":
            message = event.message
            unless(message.content == [] and message.stop_reason is None, "the message begins with something in it")
        elif kind == "content_block_start":
            unless(self.open is None and self.last != "message_delta", "a block begins in another, or after the end")
            unless(event.index == self.count, f"block {event.index} after {self.count} others")
            self.open, self.count = event.content_block.type, self.count + 1
            unless(self.open in DELTAS, f"a block of type {self.open}")
        elif kind == "content_block_delta":
            unless(event.index == self.count - 1 and event.delta.type in DELTAS.get(self.open, ()), f"{event.delta.type} in {self.open}")
        elif kind == "content_block_stop":
            unless(self.open is not None and event.index == self.count - 1, "a block that is not open ends")
            self.open = None
        elif kind == "message_delta":
            unless(self.open is None, "the message ends within a block")
            unless(self.last != "message_delta" and event.delta.stop_reason is not None, "no stop reason, or two")
        elif kind == "message_stop":
            unless(self.last == "message_delta", f"message_stop after {self.last}")
        self.last = kind

    def end(self):
        self.illegal.unless(self.last == "message_stop", f"the stream ends after {self.last}")


def streamed(asked, headers, illegal, begun):
    # The accumulating helper reads the stream; its own events are left out.
    with client.messages.stream(**asked, extra_headers=headers) as stream:
        order = Order(illegal)
        for event in stream:
            if event.type not in RAW:
                continue
            order.event(event)
            if event.type == "content_block_delta":
                begun.append(getattr(event.delta, "text", None) or getattr(event.delta, "partial_json", None) or "")
        order.end()
        return tell_answer(stream.get_final_message(), illegal, stream.response.headers)


def ask(model, case, headers, before, begun):
    asked, illegal = request(model, case, before), Illegal()
    if case["stream"]:
        return streamed(asked, headers, illegal, begun)
    raw = client.messages.with_raw_response.create(**asked, extra_headers=headers)
    return tell_answer(raw.parse(), illegal, raw.headers)


def failed(raised):
    if isinstance(raised, anthropic.APIResponseValidationError) or not isinstance(raised, anthropic.APIError):
        return None
    response = getattr(raised, "response", None)
    headers = {} if response is None else response.headers
    body = raised.body if isinstance(raised.body, dict) else {}
    error = body.get("error") if isinstance(body.get("error"), dict) else {}
    return {"class": type(raised).__name__, "status": getattr(raised, "status_code", None), "kind": error.get("type"), "code": None,
            "message": error.get("message") or raised.message, "after": headers.get("retry-after"),
            "request": headers.get("x-weir-request-id")}


run("anthropic-messages", ask, failed)
