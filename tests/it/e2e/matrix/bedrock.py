import base64

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from botocore.validate import ParamValidator

client = boto3.client(
    "bedrock-runtime", region_name="us-east-1", endpoint_url=PLAN["base"], aws_access_key_id="AKIDOFTHECALLER",
    aws_secret_access_key="of-the-caller", config=Config(retries={"total_max_attempts": 1}, read_timeout=60))
FINISH = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool", "content_filtered": "filter",
          "guardrail_intervened": "filter"}
MODEL = client.meta.service_model
EVENTS = MODEL.shape_for("ConverseStreamOutput")
orders = {}


def add_orders(request, **_):
    for name, value in orders.items():
        request.headers[name] = value


# Before the request is signed, as any middleware would.
client.meta.events.register("before-sign.bedrock-runtime.*", add_orders)


def lacks(shape, value):
    """What the service's own model says is missing or of the wrong type."""
    report = ParamValidator().validate(value, shape)
    return [report.generate_report()] if report.has_errors() else []


def part(piece):
    if "text" in piece:
        return {"text": piece["text"]}
    return {"image": {"format": piece["media"].split("/")[1], "source": {"bytes": base64.b64decode(piece["data"])}}}


def messages(case, before):
    told = [{"role": "user", "content": [part(piece) for piece in case["user"]]}]
    if before:
        told.append({"role": "assistant", "content": unpacked(before["content"])})
        told.append({"role": "user", "content": [
            {"toolResult": {"toolUseId": call["id"], "content": [{"text": case["result"]}]}} for call in before["calls"]]})
    return told


def unpacked(content):
    """Bytes do not stand in JSON."""
    return [{"reasoningContent": {"redactedContent": base64.b64decode(block["redacted"])}} if "redacted" in block else block for block in content]


def request(model, case, before):
    names = {"maxTokens": case.get("max"), "temperature": case.get("temperature"), "topP": case.get("top_p"), "stopSequences": case.get("stop")}
    asked = {"modelId": model, "messages": messages(case, before)}
    inference = {name: value for name, value in names.items() if value is not None}
    if inference:
        asked["inferenceConfig"] = inference
    if case.get("system"):
        asked["system"] = [{"text": case["system"]}]
    choice = case.get("choice")
    # Converse has no word for "none": a client that wants no call gives no tools.
    if case.get("tools") and choice != "none":
        tools = [{"toolSpec": {"name": name, "description": describe(name), "inputSchema": {"json": PARAMETERS}}} for name in case["tools"]]
        asked["toolConfig"] = {"tools": tools}
        if choice:
            asked["toolConfig"]["toolChoice"] = {"tool": choice} if isinstance(choice, dict) else {"any" if choice == "required" else "auto": {}}
    if case.get("schema"):
        schema = {"jsonSchema": {"schema": json.dumps(case["schema"]), "name": "answer"}}
        asked["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": schema}}
    if case.get("effort"):
        asked["additionalModelRequestFields"] = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    return asked


def counted(usage):
    read, write = usage.get("cacheReadInputTokens", 0), usage.get("cacheWriteInputTokens", 0)
    return {"input": usage["inputTokens"] + read + write, "output": usage["outputTokens"], "cached": read, "reasoning": 0, "total": usage["totalTokens"]}


def tell_content(content, illegal, reason, usage, headers):
    calls, text, thoughts, back = [], "", "", []
    for block in content:
        back.append(block)
        if "text" in block:
            text += block["text"]
        elif "toolUse" in block:
            use = block["toolUse"]
            calls.append({"id": use["toolUseId"], "name": use["name"], "arguments": use["input"]})
        elif "reasoningText" in block.get("reasoningContent", {}):
            thoughts += block["reasoningContent"]["reasoningText"]["text"]
        elif "redactedContent" in block.get("reasoningContent", {}):
            back[-1] = {"redacted": base64.b64encode(block["reasoningContent"]["redactedContent"]).decode()}
        else:
            illegal.append(f"a block of {sorted(block)}")
    told = said(illegal, text=text, thoughts=thoughts, calls=calls, finish=FINISH.get(reason, reason), usage=usage and counted(usage),
                id=headers.get("x-amzn-requestid"), request=headers.get("x-weir-request-id"))
    return {**told, "content": back}


class Blocks:
    """Holds the events of a stream against the order in which Bedrock sends them, and puts the blocks together."""

    def __init__(self, illegal):
        self.illegal, self.last, self.blocks, self.open, self.reason, self.usage = illegal, None, [], None, None, None

    def event(self, kind, body):
        unless = self.illegal.unless
        self.illegal.extend(lacks(EVENTS, {kind: body}))
        unless((self.last is None) == (kind == "messageStart"), f"{kind} after {self.last}")
        unless(self.last != "metadata", f"{kind} after the metadata")
        if kind == "messageStart":
            unless(body["role"] == "assistant", f"a message of {body['role']}")
        elif kind == "contentBlockStart":
            unless(self.open is None, "a block begins in another")
            self.begin(body["contentBlockIndex"], {"toolUse": {**body["start"]["toolUse"], "input": ""}} if "toolUse" in body["start"] else {})
        elif kind == "contentBlockDelta":
            # Only a call is announced; text begins with its first piece.
            if self.open is None:
                self.begin(body["contentBlockIndex"], {})
            unless(body["contentBlockIndex"] == self.open, "a delta of another block")
            self.delta(body["delta"])
        elif kind == "contentBlockStop":
            unless(body["contentBlockIndex"] == self.open, "a block that is not open ends")
            self.close()
        elif kind == "messageStop":
            unless(self.open is None and self.reason is None, "the message ends within a block, or twice")
            self.reason = body["stopReason"]
        elif kind == "metadata":
            unless(self.reason is not None, "metadata before the end")
            self.usage = body["usage"]
        self.last = kind

    def begin(self, index, block):
        self.illegal.unless(index == len(self.blocks), f"block {index} after {len(self.blocks)} others")
        self.blocks.append(block)
        self.open = index

    def delta(self, delta):
        block = self.blocks[-1]
        if "text" in delta:
            block["text"] = block.get("text", "") + delta["text"]
        elif "toolUse" in delta:
            if self.illegal.unless("toolUse" in block, "a piece of a call in another block"):
                block["toolUse"]["input"] += delta["toolUse"]["input"]
        elif "reasoningContent" in delta:
            piece = delta["reasoningContent"]
            if "redactedContent" in piece:
                block["reasoningContent"] = {"redactedContent": piece["redactedContent"]}
            else:
                text = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {"text": ""})
                text["text"] += piece.get("text", "")
                if "signature" in piece:
                    text["signature"] = piece["signature"]
        self.illegal.unless(len(block) == 1, f"a block of {sorted(block)}")

    def close(self):
        block, self.open = self.blocks[-1] if self.blocks else {}, None
        if "toolUse" in block:
            block["toolUse"]["input"] = parsed(block["toolUse"]["input"] or "{}")

    def end(self):
        self.illegal.unless(self.last == "metadata", f"the stream ends after {self.last}")


def ask(model, case, headers, before, begun):
    orders.clear()
    orders.update(headers)
    asked, illegal = request(model, case, before), Illegal()
    if not case["stream"]:
        answer = client.converse(**asked)
        got = answer["ResponseMetadata"]["HTTPHeaders"]
        illegal.extend(lacks(MODEL.shape_for("ConverseResponse"), {name: value for name, value in answer.items() if name != "ResponseMetadata"}))
        return tell_content(answer["output"]["message"]["content"], illegal, answer["stopReason"], answer["usage"], got)
    answer, blocks = client.converse_stream(**asked), Blocks(illegal)
    for event in answer["stream"]:
        (kind, body), = event.items()
        blocks.event(kind, body)
        if kind == "contentBlockDelta":
            begun.append(body["delta"].get("text", "") or body["delta"].get("toolUse", {}).get("input", ""))
    blocks.end()
    return tell_content(blocks.blocks, illegal, blocks.reason, blocks.usage, answer["ResponseMetadata"]["HTTPHeaders"])


def failed(raised):
    if not isinstance(raised, ClientError):
        return None
    metadata = raised.response.get("ResponseMetadata", {})
    headers = metadata.get("HTTPHeaders", {})
    error = raised.response["Error"]
    name = "EventStreamError" if isinstance(raised, EventStreamError) else type(raised).__name__
    return {"class": name, "status": metadata.get("HTTPStatusCode"), "kind": error.get("Code"), "code": None, "message": error.get("Message"),
            "after": headers.get("retry-after"), "request": headers.get("x-weir-request-id")}


run("bedrock", ask, failed)
