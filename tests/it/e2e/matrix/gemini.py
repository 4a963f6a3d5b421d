import base64

from google import genai
from google.genai import errors, types

client = genai.Client(api_key="AIza-of-the-caller", http_options=types.HttpOptions(base_url=PLAN["base"], timeout=60_000))
FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "filter", "PROHIBITED_CONTENT": "filter"}


def part(piece):
    if "text" in piece:
        return types.Part.from_text(text=piece["text"])
    return types.Part.from_bytes(data=base64.b64decode(piece["data"]), mime_type=piece["media"])


def contents(case, before):
    told = [types.Content(role="user", parts=[part(piece) for piece in case["user"]])]
    if before:
        told.append(types.Content.model_validate(before["content"]))
        results = [types.FunctionResponse(id=call["sent_id"], name=call["name"], response={"result": case["result"]}) for call in before["calls"]]
        told.append(types.Content(role="user", parts=[types.Part(function_response=result) for result in results]))
    return told


def config(case, headers):
    asked = {"http_options": types.HttpOptions(headers=headers), "system_instruction": case.get("system"),
             "max_output_tokens": case.get("max"), "temperature": case.get("temperature"), "top_p": case.get("top_p"),
             "stop_sequences": case.get("stop"), "seed": case.get("seed")}
    if case.get("tools"):
        functions = [types.FunctionDeclaration(name=name, description=describe(name), parameters_json_schema=PARAMETERS) for name in case["tools"]]
        asked["tools"] = [types.Tool(function_declarations=functions)]
        choice = case.get("choice")
        mode = "ANY" if isinstance(choice, dict) else {"required": "ANY", "none": "NONE", "auto": "AUTO"}[choice]
        names = [choice["name"]] if isinstance(choice, dict) else None
        asked["tool_config"] = types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode=mode, allowed_function_names=names))
    if case.get("schema"):
        asked.update(response_mime_type="application/json", response_json_schema=case["schema"])
    if case.get("effort"):
        asked["thinking_config"] = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
    return types.GenerateContentConfig(**{name: value for name, value in asked.items() if value is not None})


def counted(usage):
    if usage is None:
        return None
    thoughts = usage.thoughts_token_count or 0
    return {"input": usage.prompt_token_count, "output": (usage.candidates_token_count or 0) + thoughts, "reasoning": thoughts,
            "cached": usage.cached_content_token_count or 0, "total": usage.total_token_count}


class Heard:
    """What one answer comes to, in one piece or in many."""

    def __init__(self, illegal):
        self.illegal, self.parts, self.finish, self.usage, self.answer = illegal, [], None, None, None

    def take(self, answer, begun):
        unless = self.illegal.unless
        unless(self.finish is None, "an answer after the finish reason")
        if self.answer:
            unless(answer.response_id == self.answer.response_id, "the id changes within the stream")
            unless(answer.model_version == self.answer.model_version, "the model changes within the stream")
        self.answer, self.usage = answer, answer.usage_metadata or self.usage
        if not unless(len(answer.candidates or []) == 1, f"{len(answer.candidates or [])} candidates"):
            return
        candidate = answer.candidates[0]
        self.finish = candidate.finish_reason and candidate.finish_reason.value
        if candidate.content:
            unless(candidate.content.role in ("model", None), f"content of {candidate.content.role}")
            for piece in candidate.content.parts or []:
                self.parts.append(piece)
                begun.append(piece.text or "" if not piece.thought else "")

    def tell(self):
        calls, text, thoughts = [], "", ""
        for piece in self.parts:
            if piece.function_call:
                call = piece.function_call
                # An id may be left out: there is none at the provider unless it is asked for.
                calls.append({"id": call.id or call.name, "sent_id": call.id, "name": call.name, "arguments": call.args})
            elif piece.thought:
                thoughts += piece.text or ""
            else:
                text += piece.text or ""
        self.illegal.unless(self.finish is not None, "no finish reason")
        finish = FINISH.get(self.finish, self.finish)
        headers = self.answer.sdk_http_response.headers if self.answer and self.answer.sdk_http_response else {}
        content = types.Content(role="model", parts=self.parts).model_dump(mode="json", exclude_none=True)
        told = said(self.illegal, text=text, thoughts=thoughts, calls=calls, finish="tool" if calls and finish == "stop" else finish,
                    usage=counted(self.usage), model=self.answer and self.answer.model_version, id=self.answer and self.answer.response_id,
                    request=headers.get("x-weir-request-id"))
        return {**told, "content": content}


def ask(model, case, headers, before, begun):
    asked = {"model": model, "contents": contents(case, before), "config": config(case, headers)}
    heard = Heard(Illegal())
    if case["stream"]:
        for answer in client.models.generate_content_stream(**asked):
            heard.take(answer, begun)
        heard.illegal.unless(heard.answer is not None, "nothing came")
    else:
        heard.take(client.models.generate_content(**asked), [])
    return heard.tell()


def failed(raised):
    if not isinstance(raised, errors.APIError):
        return None
    headers = getattr(raised.response, "headers", None) or {}
    return {"class": type(raised).__name__, "status": raised.code, "kind": raised.status, "code": None, "message": raised.message,
            "after": headers.get("retry-after"), "request": headers.get("x-weir-request-id")}


run("gemini", ask, failed)
