"""Conversations for the parity of chat templates: what users, tools and reasoning models send, and what they send wrongly."""

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city, e.g. <Beijing> & \"Paris\"",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "城市"}, "unit": {"type": "string", "enum": ["c", "f"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 18446744073709551615, "default": 3}, "scale": {"type": "number", "default": 1.0}},
        "required": ["city"], "additionalProperties": False}}}
SEARCH = {"type": "function", "function": {"name": "search", "description": "查找文档\n第二行", "parameters": {
    "type": "object", "properties": {"query": {"type": "string"}, "items": {"type": "array", "items": {"type": "string"}}}}}}
FLAT_TOOL = {"name": "plain", "description": "no wrapper", "parameters": {}}


def user(text, **more):
    return {"role": "user", "content": text, **more}


def system(text, **more):
    return {"role": "system", "content": text, **more}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def call(name, arguments, **more):
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


def tool(text, **more):
    return {"role": "tool", "content": text, **more}


OBJECT_CALL = call("get_weather", {"city": "北京", "days": 2, "now": True, "note": None, "scale": 1.5, "tags": ["a", "<b>"],
                                   "nested": {"z": 1, "a": {"k": "v"}}}, id="call_1")
STRING_CALL = call("get_weather", "{\"city\": \"北京\"}", id="call_1")
SEARCH_CALL = call("search", {"query": "红楼梦\n第一回 & <宝玉>", "items": []}, id="call_2")

CONVERSATIONS = {
    "plain": [user("Hello")],
    "chinese": [system("你是一个有用的助手。"), user("《红楼梦》的作者是谁？　"), assistant("曹雪芹。"), user("好的。\n\n再说说。")],
    "system": [system("Be brief."), user("Hi")],
    "two systems": [system("One."), system("Two."), user("Hi")],
    "late system": [user("Hi"), system("Now be brief."), user("Go on")],
    "turns": [user("1"), assistant("one"), user("2"), assistant("two"), user("3")],
    "ends with assistant": [user("1"), assistant("one")],
    "empty contents": [system(""), user(""), assistant(""), user("")],
    "blanks": [system("  s \n"), user("\n u \t"), assistant(" a　"), user(" end ")],
    "thought in content": [user("1"), assistant("<think>\nhmm\n</think>\n\none"), user("2"), assistant("<think>\nhm\n</think>two")],
    "reasoning": [user("1"), assistant("one", reasoning_content="because"), user("2"), assistant("two", reasoning_content="\nas so\n")],
    "other reasoning": [user("1"), assistant("one", reasoning="because"), user("2")],
    "object call": [system("s"), user("天气？"), assistant("", tool_calls=[OBJECT_CALL]), tool("25°C", tool_call_id="call_1", name="get_weather")],
    "string call": [user("天气？"), assistant("", tool_calls=[STRING_CALL]), tool("25°C", tool_call_id="call_1")],
    "null content": [user("w?"), assistant(None, tool_calls=[STRING_CALL]), tool("25", tool_call_id="call_1"), assistant("It is 25.")],
    "two calls": [user("w?"), assistant("Let me look.", tool_calls=[OBJECT_CALL, SEARCH_CALL]), tool("b", tool_call_id="call_2"),
                  tool("a", tool_call_id="call_1"), assistant("Done.", reasoning_content="both are here"), user("thanks")],
    "unwrapped call": [user("w?"), assistant("x", tool_calls=[{"name": "f", "arguments": {"a": 1}}]), tool("r")],
    "calls and thoughts": [user("w?"), assistant("", reasoning_content="I need a tool", tool_calls=[OBJECT_CALL]), tool("25", name="get_weather"),
                           assistant("", reasoning_content="one more", tool_calls=[SEARCH_CALL]), tool({"found": ["x", 1]}, name="search")],
    "separated calls": [user("w?"), assistant("a<tool_sep>b", tool_calls=[OBJECT_CALL, SEARCH_CALL]), tool("r1"), tool("r2")],
    "tool lists": [user("w?"), assistant("", tool_calls=[OBJECT_CALL]), tool([{"output": "x"}, {"type": "text", "text": "y"}])],
    "no arguments": [user("w?"), assistant("", tool_calls=[call("ping", {}), call("pong", "")]), tool("ok", name="ping"), tool("ok", name="pong")],
    "parts": [system([{"type": "text", "text": "sys"}]), user([{"type": "text", "text": "看"}, {"type": "image", "image": "x"}, {"type": "text", "text": "图"}])],
    "string parts": [user(["a", {"type": "text", "text": "b"}])],
    "system image": [system([{"type": "image"}]), user("x")],
    "video": [user([{"type": "video", "video": "v"}, {"type": "image_url", "image_url": {"url": "u"}}])],
    "names": [user("hi", name="阿<b>\"&"), assistant("yo", name="bot"), system("s", name="n", tools=[FLAT_TOOL])],
    "tool response text": [user("<tool_response>\nx\n</tool_response>"), assistant("ok"), user("<tool_response>y</tool_response>")],
    "tool definition mark": [system("before <tool_def_sep> after"), user("x")],
    "nothink": [user("say /nothink"), assistant("ok"), user("more/nothink")],
    "prefix": [user("x"), assistant("Sure", prefix=True)],
    "wrong role": [user("x"), {"role": "narrator", "content": "y"}],
    "only tool": [tool("x")],
    "no user": [system("x"), assistant("y")],
    "none": [],
    "no content": [{"role": "user"}],
    "number": [user(5)],
    "bad call": [user("x"), assistant("", tool_calls=["f"])],
    "bad arguments": [user("x"), assistant("", tool_calls=[call("f", [1, 2])])],
    "nameless call": [user("x"), assistant("", tool_calls=[{"function": {"arguments": {}}}]), tool("r")],
    "long": [m for i in range(12) for m in (user(f"问题{i}"), assistant(f"回答{i}"))] + [user("完")],
}

SETTINGS = {
    "": {"add_generation_prompt": True},
    "closed": {"add_generation_prompt": False},
    "tools": {"add_generation_prompt": True, "tools": [WEATHER, SEARCH]},
    "flat tool": {"add_generation_prompt": True, "tools": [FLAT_TOOL]},
    "thinking": {"add_generation_prompt": True, "enable_thinking": True, "thinking": True, "open_thinking": True},
    "not thinking": {"add_generation_prompt": True, "enable_thinking": False, "thinking": False, "tools": [SEARCH]},
    "bare": {},
    "null tools": {"add_generation_prompt": True, "tools": None, "documents": None},
    "effort": {"add_generation_prompt": True, "thinking_effort": "low", "tool_choice": "required"},
    "bad effort": {"thinking_effort": "extreme"},
    "schema": {"add_generation_prompt": True, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {
        "type": "object", "b": [1, {"z": 0, "Y": 1, "a": None}], "A": True}}}},
    "images": {"add_generation_prompt": True, "image_prompts": ["<|img1|>"], "add_vision_id": True},
}
TOKENS = {"bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "<|im_end|>", "pad_token": "<pad>"}


def request(messages, settings):
    return {"messages": messages, **settings, **TOKENS}


def requests():
    """Every conversation with every setting: (name, request)."""
    for title, messages in CONVERSATIONS.items():
        for setting, more in SETTINGS.items():
            yield f"{title}; {setting}", request(messages, more)
