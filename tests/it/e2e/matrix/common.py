"""What every client script shares: the plan it is given, and a line of JSON for each turn that it took.

A plan has `base`, the `targets` with the model that leads to each, and the `cases`. A case asks in words that belong
to no dialect (`system`, `user`, `tools`, `choice`, `max`, `schema`, `effort`); the client script says them in its own.
What comes back is told in words of no dialect as well:

    text, thoughts, calls [{id, name, arguments}], finish (stop | length | tool | ...), usage {input, output, ...},
    model, id (of the answer), request (Weir's id)

beside `illegal`, what no answer or stream of this dialect may look like, or `error`, what the SDK raised.
"""

import json
import sys
import traceback

PLAN = json.loads(sys.argv[1])

# Every tool that a case may name takes the same argument.
PARAMETERS = {"type": "object", "properties": {"q": {"type": "string", "description": "What to look for."}}, "required": ["q"]}


class Illegal(list):
    """What was wrong, in words."""

    def unless(self, holds, what):
        if not holds:
            self.append(what)
        return holds


def describe(name):
    return f"The tool {name}."


def parsed(arguments):
    """The arguments of a call, which arrive as text."""
    try:
        return json.loads(arguments)
    except (TypeError, ValueError):
        return {"unreadable": str(arguments)}


def said(illegal, **fields):
    """One answer, with what a case does not concern left empty."""
    empty = {"text": "", "thoughts": "", "calls": [], "finish": None, "usage": None, "model": None, "id": None, "request": None}
    return {**empty, **fields, "illegal": illegal}


def tell(**line):
    print(json.dumps(line), flush=True)


def take(client, target, case, ask, failed):
    """One case with one target: its first turn, and a second with the results of the calls where the case has one."""
    label = f"{client}.{target['name']}.{case['name']}.{'stream' if case['stream'] else 'whole'}"
    begun = []
    turns = [(case, None)]
    if case.get("then"):
        turns.append((case["then"], True))
    before = None
    for number, (turn, again) in enumerate(turns):
        request = {**case, **turn}
        headers = {"x-mock-id": f"{label}.{number}", **turn.get("orders", {})}
        place = {"target": target["name"], "case": case["name"], "stream": case["stream"], "turn": number}
        del begun[:]
        try:
            before = ask(target["model"], request, headers, before if again else None, begun)
            tell(**place, said=before)
        except Exception as raised:
            error = failed(raised)
            if error is None:
                traceback.print_exc()
                error = {"class": type(raised).__name__, "message": f"{raised} {raised.__cause__ or str()}"[:700], "unexpected": True}
            tell(**place, error={**error, "begun": "".join(begun)})
            return


def run(client, ask, failed):
    """Everything in the plan. `ask` makes one turn; `failed` describes what an SDK may raise, and nothing else."""
    for target in PLAN["targets"]:
        for case in PLAN["cases"]:
            take(client, target, case, ask, failed)
