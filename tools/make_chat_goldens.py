#!/usr/bin/env python3
"""Writes the reference outputs of the chat template tests: tests/golden/chat/*.json.

Every template in tests/golden/chat/templates is rendered by transformers' own code for each of the
conversations below. expressions.json holds the small templates of tests/golden/chat/inputs, one
feature each (expressions.txt: expressions that are printed, blocks.json: whole templates), with
what Jinja2, set up as transformers does, makes of them. Where the reference raises, the golden is
null: an error is expected.

    python tools/make_chat_goldens.py             # rewrites all files
    python tools/make_chat_goldens.py --check     # exit code 1 if any would change

Needs transformers and jinja2 (made with transformers 5.23.0, jinja2 3.1.6).
"""

import argparse
import json
import pathlib
import sys

from transformers.utils.chat_template_utils import render_jinja_template

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "chat"

WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": 'Current weather of a place, e.g. "Zürich" <now> & later',
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "City and country"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 1, "default": 1.5},
            },
            "required": ["location"],
        },
    },
}
ADD_TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers",
        "parameters": {
            "type": "object",
            "properties": {
                "a": {"type": "number"},
                "b": {"type": "number"},
                "exact": {"type": "boolean"},
            },
            "required": ["a", "b"],
        },
        "return": {"type": "number"},
    },
}


def call(name, arguments, identity="call00001"):
    return {"type": "function", "id": identity, "function": {"name": name, "arguments": arguments}}


SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
HELLO = {"role": "user", "content": "Hello!"}
HI = {"role": "assistant", "content": "Hi there. What can I do?"}
ASK = {"role": "user", "content": "What is 2 + 2?"}
WEATHER = {"role": "user", "content": "Weather in Paris?"}
SPECIAL = (
    "  Quotes \"double\" 'single' \\ back\\nslash\n\ttab "
    "</s> <|im_end|> {{ not }} {% a %} {# tag #}\n"
    "\u00e9\u00fc \u4f60\u597d \U0001f600 \u2028 end \u00a0 "
)
THOUGHT = "<think>\nTwo and two.\nThat is four.\n</think>\n\nIt is 4."
CALLED = {
    "role": "assistant",
    "content": "",
    "tool_calls": [call("get_weather", {"location": "Paris", "days": 2})],
}
CALLED_TEXT = {
    "role": "assistant",
    "content": "Let me look.",
    "tool_calls": [call("get_weather", '{"location": "Paris", "unit": "celsius"}')],
}
CALLED_TWICE = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        call("add", {"a": 1, "b": 2.5, "exact": True}, "call00002"),
        call(
            "get_weather",
            {"location": 'K\u00f6ln "Dom"', "nested": {"list": [1, None, False]}},
            "call00003",
        ),
    ],
}
CALLED_STRINGS = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        call("get_weather", '{"location": "Paris"}', "call00002"),
        call("get_weather", '{"location": "S\u00e3o Paulo", "days": 3}', "call00003"),
    ],
}
RESULT = {
    "role": "tool",
    "tool_call_id": "call00001",
    "name": "get_weather",
    "content": '{"temperature": 21.5}',
}
RESULT_OBJECT = {
    "role": "tool",
    "tool_call_id": "call00002",
    "name": "add",
    "content": {"result": 3.5, "units": ["a", "\u00e9"]},
}
RESULT_TEXT = {
    "role": "tool",
    "tool_call_id": "call00003",
    "name": "get_weather",
    "content": "sunny",
}
PARTS = {
    "role": "user",
    "content": [{"type": "text", "text": "First part. "}, {"type": "text", "text": "Second."}],
}

# name -> what render() is given; "prompt" is add_generation_prompt.
CONVERSATIONS = {
    "user": {"messages": [HELLO]},
    "user_no_prompt": {"messages": [HELLO], "prompt": False},
    "system": {"messages": [SYSTEM, HELLO]},
    "empty_system": {"messages": [{"role": "system", "content": ""}, HELLO]},
    "two_systems": {"messages": [SYSTEM, {"role": "system", "content": "Be brief."}, HELLO]},
    "late_system": {"messages": [HELLO, SYSTEM, ASK]},
    "turns": {"messages": [SYSTEM, HELLO, HI, ASK]},
    "turns_done": {
        "messages": [HELLO, HI, ASK, {"role": "assistant", "content": "4"}],
        "prompt": False,
    },
    "turns_continue": {"messages": [HELLO, HI, ASK, {"role": "assistant", "content": "4"}]},
    "two_users": {"messages": [HELLO, ASK]},
    "assistant_first": {"messages": [HI, HELLO]},
    "empty": {"messages": []},
    "special": {
        "messages": [{"role": "system", "content": SPECIAL}, {"role": "user", "content": SPECIAL}]
    },
    "think_in_content": {"messages": [ASK, {"role": "assistant", "content": THOUGHT}, HELLO]},
    "think_last": {"messages": [ASK, {"role": "assistant", "content": THOUGHT}], "prompt": False},
    "reasoning_content": {
        "messages": [
            ASK,
            {"role": "assistant", "content": "It is 4.", "reasoning_content": "Two and two.\n"},
            HELLO,
        ]
    },
    "reasoning": {
        "messages": [
            ASK,
            {"role": "assistant", "content": "It is 4.", "reasoning": "Two and two."},
        ],
        "prompt": False,
    },
    "tools": {"messages": [SYSTEM, WEATHER], "tools": [WEATHER_TOOL, ADD_TOOL]},
    "tools_no_system": {"messages": [WEATHER], "tools": [WEATHER_TOOL]},
    "no_tools": {"messages": [HELLO], "tools": []},
    "tool_call": {"messages": [WEATHER, CALLED, RESULT], "tools": [WEATHER_TOOL]},
    "tool_call_pending": {
        "messages": [SYSTEM, WEATHER, CALLED],
        "tools": [WEATHER_TOOL],
        "prompt": False,
    },
    "tool_call_text": {
        "messages": [WEATHER, CALLED_TEXT, RESULT, HI, HELLO],
        "tools": [WEATHER_TOOL],
    },
    "tool_call_done": {
        "messages": [
            SYSTEM,
            WEATHER,
            CALLED_TEXT,
            RESULT,
            {"role": "assistant", "content": "21.5 degrees."},
            ASK,
        ],
        "tools": [WEATHER_TOOL],
    },
    "tool_calls": {
        "messages": [WEATHER, CALLED_TWICE, RESULT_OBJECT, RESULT_TEXT],
        "tools": [WEATHER_TOOL, ADD_TOOL],
    },
    "tool_call_no_tools": {"messages": [WEATHER, CALLED, RESULT]},
    "tool_call_strings": {
        "messages": [SYSTEM, WEATHER, CALLED_STRINGS, RESULT, RESULT_TEXT],
        "tools": [WEATHER_TOOL],
    },
    "tool_call_strings_done": {
        "messages": [
            WEATHER,
            CALLED_STRINGS,
            RESULT,
            RESULT_TEXT,
            {"role": "assistant", "content": THOUGHT},
            ASK,
        ],
    },
    "parts": {"messages": [PARTS]},
    "unknown_role": {"messages": [{"role": "narrator", "content": "Once"}, HELLO]},
    "missing_content": {"messages": [{"role": "user"}, HELLO]},
    "thinking_on": {"messages": [ASK], "variables": {"thinking": True, "enable_thinking": True}},
    "thinking_off": {"messages": [ASK], "variables": {"thinking": False, "enable_thinking": False}},
}
VARIABLES = {"date_string": "26 Jul 2024"}
BOS_TOKEN, EOS_TOKEN = "<bos>", "<eos>"


def render(template, conversation):
    """The reference's text, or None where it raises."""
    try:
        return render_jinja_template(
            conversations=[conversation["messages"]],
            tools=conversation.get("tools"),
            chat_template=template,
            add_generation_prompt=conversation.get("prompt", True),
            bos_token=BOS_TOKEN,
            eos_token=EOS_TOKEN,
            **VARIABLES,
            **conversation.get("variables", {}),
        )[0][0]
    except Exception:  # noqa: BLE001: whatever it raises, an error is what the test expects
        return None


def conversations():
    cases = [
        {
            "name": name,
            "messages": case["messages"],
            "tools": case.get("tools"),
            "add_generation_prompt": case.get("prompt", True),
            "variables": {**VARIABLES, **case.get("variables", {})},
        }
        for name, case in CONVERSATIONS.items()
    ]
    return {"bos_token": BOS_TOKEN, "eos_token": EOS_TOKEN, "conversations": cases}


def rendered(path):
    template = path.read_text()
    return {name: render(template, case) for name, case in CONVERSATIONS.items()}


def expressions():
    """[template, output or null] of every small template."""
    inputs = FOLDER / "inputs"
    variables = json.loads((inputs / "variables.json").read_text())
    lines = (inputs / "expressions.txt").read_text().split("\n")
    texts = ["{{ " + line + " }}" for line in lines if line]
    texts += json.loads((inputs / "blocks.json").read_text())
    case = {"messages": [HELLO, HI], "variables": variables}
    return {"variables": variables, "cases": [[text, render(text, case)] for text in texts]}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    arguments = parser.parse_args()
    files = {"conversations.json": conversations(), "expressions.json": expressions()}
    for path in sorted((FOLDER / "templates").glob("*.jinja")):
        files[path.stem + ".json"] = rendered(path)
    changed = False
    for name, content in files.items():
        text = json.dumps(content, ensure_ascii=False, indent=0) + "\n"
        path = FOLDER / name
        if path.exists() and path.read_text() == text:
            continue
        changed = True
        print(path)
        if not arguments.check:
            path.write_text(text)
    return 1 if arguments.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
