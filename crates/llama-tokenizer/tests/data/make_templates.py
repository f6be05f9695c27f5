"""Makes templates.json: chat templates with conversations, and what Jinja2 3.1.6 prints for them.

Jinja2 is set up as transformers 5 sets it up: an immutable sandbox, trimmed blocks, loop controls, its `tojson`, `raise_exception` and
`strftime_now` (here with a fixed date). The templates:

  smollm2, qwen2.5      from the GGUF files of SmolLM2-135M-Instruct and Qwen2.5-Coder-0.5B-Instruct (both Apache-2.0)
  others                written for this test, in the forms that Llama 3, Mistral and reasoning models use

  python make_templates.py SMOLLM_GGUF QWEN_GGUF [MORE.jinja ...]
"""

import datetime
import json
import sys
from pathlib import Path

import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = Path(__file__).parent
NOW = 1_721_952_000


class Generation(jinja2.ext.Extension):
    """The block that marks the assistant's words; it renders as its body."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.If(jinja2.nodes.Const(True), body, [], [], lineno=line)


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


def to_json(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = to_json
    env.globals["raise_exception"] = refuse
    now = datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc)
    env.globals["strftime_now"] = now.strftime
    return env


LLAMA3 = """\
{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{#- The date comes first. -#}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\nToday: " + strftime_now("%d %b %Y") + "\\n\\n" + system + "<|eot_id|>" }}
{%- if tools is defined and tools is not none %}
    {{- "Tools:\\n" }}
    {%- for tool in tools %}
        {{- tool | tojson(indent=4) }}
        {{- "\\n" }}
    {%- endfor %}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'ipython' or message.role == 'tool' %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {{- message.content | tojson if message.content is mapping or message.content is iterable and message.content is not string else message.content }}
        {{- "<|eot_id|>" }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls | length == 1 %}
            {{- raise_exception("One call at a time, please!") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments | tojson }}
        {{- "}<|eot_id|>" }}
    {%- else %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

MISTRAL = """\
{%- if messages[0]["role"] == "system" -%}
    {%- set system = messages[0]["content"] -%}
    {%- set turns = messages[1:] -%}
{%- else -%}
    {%- set turns = messages -%}
{%- endif -%}
{{ bos_token }}
{%- for turn in turns -%}
    {%- if (turn.role == "user") != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("User and assistant must take turns: " ~ turn.role ~ " at " ~ loop.index0) }}
    {%- endif -%}
    {%- if turn.role == "user" -%}
        {%- if loop.last and system is defined -%}
            {{ "[INST] " + system + "\\n\\n" + turn.content + "[/INST]" }}
        {%- else -%}
            {{ "[INST] " + turn.content + "[/INST]" }}
        {%- endif -%}
    {%- else -%}
        {{ " " + turn.content.strip() + eos_token }}
    {%- endif -%}
{%- endfor %}

"""

REASONING = """\
{% set ns = namespace(last=-1, seen=[]) %}
{% set settings = settings | default({}) %}
{% for message in messages[::-1] %}
  {% set index = (messages | length - 1) - loop.index0 %}
  {% if ns.last < 0 and message.role == "user" and not message.content.startswith('<tool>') %}
    {% set ns.last = index %}
    {% break %}
  {% endif %}
{% endfor %}
{% macro thought(text) -%}
  <think>{{ text.strip('\\n') }}</think>
{%- endmacro %}
    {% for message in messages %}
    {% if message.role == "hidden" %}{% continue %}{% endif %}
<{{ message.role | upper }}{% if loop.previtem is defined %} after {{ loop.previtem.role }}{% endif %}>
    {% generation %}
    {% if message.content is string and '</think>' in message.content %}
{{ thought(message.content.split('</think>')[0].split('<think>')[-1]) }}
{{ message.content.split('</think>')[-1].lstrip('\\n') }}
    {% elif message.content is none %}
nothing
    {% else %}
{{ message.content }}
    {% endif %}
    {% endgeneration %}
    {% endfor %}
last={{ ns.last }} think={{ enable_thinking }} undefined=[{{ nope }}] {{ none }} {{ 1.0 }} {{ 3 // 2 }} {{ true }}
{% for key, value in settings.items() %}{{ key }}={{ value }}{{ ", " if not loop.last }}{% endfor %}

{{ settings }}
{{ settings | tojson }} {{ settings.get('b', 'c') }} {{ settings | dictsort | length }} {{ "%s" | format("x") }}
{{ messages | selectattr("role", "equalto", "user") | map(attribute="content") | join("|") }}
{{ "<a href='b'>&" }} {{ "a,b".split(",") }} {{ ["x", 'it\\'s', none, true, 1.5] }}
{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}

"""

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather <now> & \"later\" in a city, in °C",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "default": 1.0}},
                "required": ["city"],
            },
        },
    }
]
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2, "exact": True, "unit": None}}}
SYSTEM = {"role": "system", "content": "  You are terse.\n"}
USER = {"role": "user", "content": "Hi <there> & \"you\" 'too' 🙂"}
ANSWER = {"role": "assistant", "content": "Hello.\n"}
CONVERSATIONS = {
    "user": ([USER], {}),
    "open": ([USER], {"add_generation_prompt": True}),
    "system": ([SYSTEM, USER], {"add_generation_prompt": True}),
    "turns": ([SYSTEM, USER, ANSWER, {"role": "user", "content": " More? "}], {"add_generation_prompt": True}),
    "thoughts": (
        [USER, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nYes."}, {"role": "hidden", "content": "x"}, USER],
        {"enable_thinking": False, "settings": {"b": [1, 2.5, {"x": None}], "a": "é'\n", "t": True}},
    ),
    "tools": ([USER], {"tools": TOOLS, "add_generation_prompt": True}),
    "calls": (
        [
            SYSTEM,
            USER,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "name": "weather", "content": "sun"},
            {"role": "assistant", "content": "Sunny."},
            USER,
        ],
        {"tools": TOOLS, "add_generation_prompt": True},
    ),
    "two_calls": (
        [USER, {"role": "assistant", "content": "Wait.", "tool_calls": [CALL, CALL]}, {"role": "tool", "content": "a"}, {"role": "tool", "content": "b"}],
        {"tools": TOOLS},
    ),
    "two_users": ([USER, USER], {"settings": {}}),
}
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}


def outcome(template, messages, options):
    """The text, or what the template refused with; None when Jinja2 itself failed."""
    variables = {"tools": None, "documents": None, "add_generation_prompt": False} | SPECIAL | options
    try:
        return {"text": template.render(messages=messages, **variables)}
    except jinja2.exceptions.UndefinedError:
        return {"error": None}
    except jinja2.exceptions.TemplateError as error:
        return {"error": str(error)}
    except (TypeError, ValueError, AttributeError, KeyError):
        return {"error": None}


def main(smollm, qwen, *more):
    from make import metadata

    templates = {
        "smollm2": metadata(smollm)["tokenizer.chat_template"],
        "qwen2.5": metadata(qwen)["tokenizer.chat_template"],
        "llama3": LLAMA3,
        "mistral": MISTRAL,
        "reasoning": REASONING,
    }
    if more:
        templates = {Path(path).stem: Path(path).read_text("utf-8") for path in more}
    env = environment()
    cases = []
    for name, source in templates.items():
        try:
            template = env.from_string(source)
        except jinja2.TemplateSyntaxError as error:
            print(name, error)
            continue
        runs = {key: outcome(template, *conversation) for key, conversation in CONVERSATIONS.items()}
        cases.append({"name": name, "source": source, "runs": runs})
    conversations = {key: {"messages": m, "options": o} for key, (m, o) in CONVERSATIONS.items()}
    content = {"now": NOW, "special": SPECIAL, "conversations": conversations, "templates": cases}
    (HERE / "templates.json").write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")


main(*sys.argv[1:])
