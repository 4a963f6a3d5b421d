import openai
from openai.lib.streaming.chat import ChatCompletionStreamState

client = openai.OpenAI(
    base_url=PLAN["base"] + "/v1", api_key="sk-of-the-caller", max_retries=0, timeout=60, _strict_response_validation=True)
FINISH = {"stop": "stop", "length": "length", "tool_calls": "tool", "content_filter": "filter"}


def part(piece):
    if "text" in piece:
        return {"type": "text", "text": piece["text"]}
    return {"type": "image_url", "image_url": {"url": f"data:{piece['media']};base64,{piece['data']}"}}


def messages(case, before):
    told = [{"role": "system", "content": case["system"]}] if case.get("system") else []
    plain = len(case["user"]) == 1 and "text" in case["user"][0]
    told.append({"role": "user", "content": case["user"][0]["text"] if plain else [part(piece) for piece in case["user"]]})
    if before:
        calls = [{"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": json.dumps(call["arguments"])}}
                 for call in before["calls"]]
        told.append({"role": "assistant", "content": before["text"] or None, "tool_calls": calls})
        told += [{"role": "tool", "tool_call_id": call["id"], "content": case["result"]} for call in before["calls"]]
    return told


def request(model, case, before):
    asked = {"model": model, "messages": messages(case, before), "max_completion_tokens": case.get("max")}
    if case.get("tools"):
        asked["tools"] = [{"type": "function", "function": {"name": name, "description": describe(name), "parameters": PARAMETERS}}
                          for name in case["tools"]]
        choice = case.get("choice")
        asked["tool_choice"] = {"type": "function", "function": choice} if isinstance(choice, dict) else choice
    if case.get("schema"):
        asked["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": case["schema"], "strict": True}}
    asked["reasoning_effort"] = case.get("effort")
    for name in ("temperature", "top_p", "stop", "seed"):
        asked[name] = case.get(name)
    return {name: value for name, value in asked.items() if value is not None}


def counted(usage):
    if usage is None:
        return None
    inward, outward = usage.prompt_tokens_details, usage.completion_tokens_details
    return {"input": usage.prompt_tokens, "output": usage.completion_tokens, "cached": (inward and inward.cached_tokens) or 0,
            "reasoning": (outward and outward.reasoning_tokens) or 0, "total": usage.total_tokens}


def whole(answer, illegal, headers):
    illegal.unless(answer.object == "chat.completion", f"object {answer.object}")
    if not illegal.unless(len(answer.choices) == 1, f"{len(answer.choices)} choices"):
        return said(illegal, request=headers.get("x-weir-request-id"))
    choice = answer.choices[0]
    calls = [{"id": call.id, "name": call.function.name, "arguments": parsed(call.function.arguments)}
             for call in choice.message.tool_calls or []]
    return said(
        illegal, text=choice.message.content or "", thoughts=getattr(choice.message, "reasoning_content", None) or "", calls=calls,
        finish=FINISH.get(choice.finish_reason, choice.finish_reason), usage=counted(answer.usage), model=answer.model, id=answer.id,
        request=headers.get("x-weir-request-id"))


def streamed(stream, illegal, begun, headers, asked):
    state = ChatCompletionStreamState(input_tools=asked.get("tools", openai.omit))
    ids, thoughts, finished, usage, first = set(), "", None, None, True
    for chunk in stream:
        illegal.unless(usage is None, "a chunk after the usage")
        illegal.unless(chunk.object == "chat.completion.chunk", f"object {chunk.object}")
        ids.add((chunk.id, chunk.model, chunk.created))
        if chunk.usage is not None:
            illegal.unless(chunk.choices == [], "usage beside choices")
            usage = chunk.usage
        for choice in chunk.choices:
            delta = choice.delta
            illegal.unless(finished is None, "a delta after the finish reason")
            illegal.unless(not first or delta.role == "assistant", "the first delta has no role")
            first, finished = False, choice.finish_reason
            begun.append(delta.content or "")
            thoughts += getattr(delta, "reasoning_content", None) or ""
            for call in delta.tool_calls or []:
                begun.append(call.function.arguments or "")
        state.handle_chunk(chunk)
    illegal.unless(len(ids) == 1, f"id, model or time change within the stream: {sorted(ids)}")
    illegal.unless(finished is not None, "no finish reason")
    illegal.unless(usage is not None, "no usage, which was asked for")
    snapshot = state.current_completion_snapshot
    choice = snapshot.choices[0]
    calls = [{"id": call.id, "name": call.function.name, "arguments": parsed(call.function.arguments)}
             for call in choice.message.tool_calls or []]
    return said(
        illegal, text=choice.message.content or "", thoughts=thoughts, calls=calls, finish=FINISH.get(finished, finished),
        usage=counted(usage), model=snapshot.model, id=snapshot.id, request=headers.get("x-weir-request-id"))


def ask(model, case, headers, before, begun):
    asked, illegal = request(model, case, before), Illegal()
    if case["stream"]:
        asked.update(stream=True, stream_options={"include_usage": True})
        with client.chat.completions.with_streaming_response.create(**asked, extra_headers=headers) as raw:
            return streamed(raw.parse(), illegal, begun, raw.headers, asked)
    raw = client.chat.completions.with_raw_response.create(**asked, extra_headers=headers)
    return whole(raw.parse(), illegal, raw.headers)


def failed(raised):
    if isinstance(raised, openai.APIResponseValidationError) or not isinstance(raised, openai.APIError):
        return None
    response = getattr(raised, "response", None)
    headers = {} if response is None else response.headers
    return {"class": type(raised).__name__, "status": getattr(raised, "status_code", None), "kind": raised.type, "code": raised.code,
            "message": raised.message, "after": headers.get("retry-after"), "request": headers.get("x-weir-request-id")}


run("openai-chat", ask, failed)
