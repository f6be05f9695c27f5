"""The official Python client against a live server: chat, streams, tools, schemas, embeddings, errors, cancellation.

Usage: suite.py URL KEY. Every check prints a line; the last line counts them. Needs a model with a chat template.
"""

import asyncio
import json
import math
import sys
import time
import traceback
import urllib.request

import openai
from pydantic import BaseModel

URL, KEY = sys.argv[1:3]
CLIENT = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=60)
MODEL = CLIENT.models.list().data[0].id
QUESTION = [{"role": "user", "content": "Name three colours."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather at a place",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "kelvin"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
FORCED = {"type": "function", "function": {"name": "weather"}}
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def chat(messages=QUESTION, client=CLIENT, **options):
    options = {"max_tokens": 24, "temperature": 0} | options
    return client.chat.completions.create(model=MODEL, messages=messages, **options)


def text(answer):
    return answer.choices[0].message.content


def expect(error, call):
    try:
        call()
    except error as caught:
        return caught
    raise AssertionError(f"no {error.__name__}")


@check
def models_are_listed_and_found():
    found = CLIENT.models.retrieve(MODEL)
    assert found.id == MODEL and found.object == "model", found


@check
def chat_answers_and_counts():
    answer = chat()
    choice, usage = answer.choices[0], answer.usage
    assert choice.message.role == "assistant" and text(answer).strip(), answer
    assert choice.finish_reason in ("stop", "length"), answer
    assert 0 < usage.completion_tokens <= 24 and usage.prompt_tokens > 0, usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage
    assert usage.prompt_tokens_details.cached_tokens <= usage.prompt_tokens, usage


@check
def a_stream_is_the_answer_in_parts():
    chunks = list(chat(stream=True, stream_options={"include_usage": True}))
    parts = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    whole = chat()
    assert "".join(parts) == text(whole), parts
    assert sum(1 for part in parts if part) > 1, "in one piece"
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert reasons == [whole.choices[0].finish_reason], reasons
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens, chunks[-1]
    assert len({chunk.id for chunk in chunks}) == 1, "one answer, one id"


@check
def a_seed_decides():
    options = {"temperature": 1.0, "max_tokens": 16}
    first, second = chat(seed=7, **options), chat(seed=7, **options)
    assert text(first) == text(second), (text(first), text(second))
    others = {text(chat(seed=seed, **options)) for seed in range(4)}
    assert len(others) > 1, others


@check
def several_choices_come_apart():
    answer = chat(n=3, seed=5, temperature=1.0, max_tokens=12)
    assert [choice.index for choice in answer.choices] == [0, 1, 2], answer
    streamed = ["", "", ""]
    for chunk in chat(n=3, seed=5, temperature=1.0, max_tokens=12, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert streamed == [choice.message.content for choice in answer.choices], streamed


@check
def limits_and_stops_are_kept():
    answer = chat(max_tokens=3)
    assert answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens == 3, answer
    newer = chat(max_tokens=openai.NOT_GIVEN, max_completion_tokens=3)
    assert text(newer) == text(answer), newer
    whole = text(chat())
    stop = whole[4:8]
    cut = chat(stop=[stop])
    assert text(cut) == whole.split(stop)[0] and cut.choices[0].finish_reason == "stop", (whole, cut)


@check
def tools_are_called_with_what_their_schema_wants():
    answer = chat([{"role": "user", "content": "Weather in Paris?"}], tools=[WEATHER], tool_choice=FORCED, max_tokens=80)
    choice = answer.choices[0]
    (call,) = choice.message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert call.type == "function" and call.function.name == "weather" and call.id, call
    assert set(arguments) == {"city", "unit"} and arguments["unit"] in ("celsius", "kelvin"), arguments


@check
def a_streamed_tool_call_is_the_same():
    question = [{"role": "user", "content": "Weather in Paris?"}]
    options = {"tools": [WEATHER], "tool_choice": FORCED, "max_tokens": 80}
    (whole,) = chat(question, **options).choices[0].message.tool_calls
    name, arguments, ids = "", "", set()
    for chunk in chat(question, stream=True, **options):
        for choice in chunk.choices:
            for part in choice.delta.tool_calls or []:
                assert part.index == 0, part
                ids |= {part.id} - {None}
                name += part.function.name or ""
                arguments += part.function.arguments or ""
    assert (name, arguments) == (whole.function.name, whole.function.arguments), (name, arguments)
    assert len(ids) == 1, ids


@check
def a_tool_result_is_read():
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris", "unit": "celsius"}'}}
    messages = [
        {"role": "user", "content": "Weather in Paris?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees, sunny"},
    ]
    with_result = chat(messages, tools=[WEATHER], tool_choice="none")
    assert text(with_result).strip() and not with_result.choices[0].message.tool_calls, with_result
    assert with_result.usage.prompt_tokens > chat(messages[:1]).usage.prompt_tokens, "the result is not in the prompt"


class Person(BaseModel):
    name: str
    age: int
    likes: list[str]


@check
def a_schema_is_followed():
    messages = [{"role": "user", "content": "Describe a person as JSON."}]
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": schema}}
    found = json.loads(text(chat(messages, response_format=form, max_tokens=60)))
    assert set(found) == {"name", "age"} and len(found["name"]) <= 12 and 0 <= found["age"] <= 99, found


@check
def a_pydantic_class_is_parsed():
    answer = CLIENT.chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": "Bob is 41. He likes tea."}], response_format=Person, temperature=0, max_tokens=400
    )
    assert isinstance(answer.choices[0].message.parsed, Person), answer


@check
def a_json_object_is_one():
    answer = chat([{"role": "user", "content": "A JSON object with one key."}], response_format={"type": "json_object"}, max_tokens=200)
    if answer.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(text(answer)), dict), answer
    else:
        assert text(answer).lstrip().startswith("{"), answer


@check
def logprobs_belong_to_the_tokens():
    answer = chat(logprobs=True, top_logprobs=3, max_tokens=8)
    entries = answer.choices[0].logprobs.content
    assert len(entries) == answer.usage.completion_tokens, answer
    for entry in entries:
        found = [top.logprob for top in entry.top_logprobs]
        assert entry.logprob <= 0 and len(found) == 3 and found == sorted(found, reverse=True), entry
        assert entry.logprob == found[0], "a greedy token is the most likely one"
    spelt = b"".join(bytes(entry.bytes) for entry in entries).decode(errors="ignore")
    assert spelt.startswith(text(answer)), (spelt, text(answer))


@check
def a_biased_token_is_chosen_or_not():
    first = chat(logprobs=True, top_logprobs=2, max_tokens=1)
    usual = text(first)
    with urllib.request.urlopen(request("/tokenize", {"content": usual})) as answer:
        (token, *_) = json.load(answer)["tokens"]
    banned = chat(logit_bias={str(token): -100}, max_tokens=1)
    assert text(banned) != usual, banned


@check
def a_text_is_completed():
    whole = CLIENT.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=12, temperature=0, logprobs=2)
    choice = whole.choices[0]
    assert choice.text and len(choice.logprobs.tokens) == whole.usage.completion_tokens, whole
    stream = CLIENT.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=12, temperature=0, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream if chunk.choices) == choice.text
    several = CLIENT.completions.create(model=MODEL, prompt=["Once upon a time", "The king"], max_tokens=12, temperature=0)
    assert [part.index for part in several.choices] == [0, 1] and several.choices[0].text == choice.text, several


@check
def embeddings_keep_their_order_and_form():
    texts = ["the king", "a horse", "the king"]
    # The client asks for base64 unless told otherwise.
    packed = CLIENT.embeddings.create(model=MODEL, input=texts)
    plain = CLIENT.embeddings.create(model=MODEL, input=texts, encoding_format="float")
    vectors = [entry.embedding for entry in packed.data]
    assert [entry.index for entry in packed.data] == [0, 1, 2] and packed.usage.prompt_tokens >= 3, packed.usage
    assert vectors[0] == vectors[2] != vectors[1]
    for ours, theirs in zip(vectors, plain.data):
        assert all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) for a, b in zip(ours, theirs.embedding, strict=True))
        assert math.isclose(sum(x * x for x in ours), 1, rel_tol=1e-4)
    single = CLIENT.embeddings.create(model=MODEL, input="the king")
    assert single.data[0].embedding == vectors[0], "alone, and beside others"


@check
def errors_are_typed():
    stranger = openai.OpenAI(base_url=f"{URL}/v1", api_key="wrong", max_retries=0)
    error = expect(openai.AuthenticationError, lambda: chat(client=stranger))
    assert error.status_code == 401 and "wrong" not in str(error), error
    error = expect(openai.NotFoundError, lambda: CLIENT.models.retrieve("no-such-model"))
    assert error.status_code == 404 and error.code == "model_not_found", error
    error = expect(openai.BadRequestError, lambda: chat(temperature=-1))
    assert error.param == "temperature" and error.type == "invalid_request_error", error
    error = expect(openai.BadRequestError, lambda: chat(max_tokens=10**9))
    assert error.code == "context_length_exceeded", error
    expect(openai.BadRequestError, lambda: chat([]))
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {}}}}
    expect(openai.BadRequestError, lambda: chat(response_format=schema))
    expect(openai.NotFoundError, lambda: CLIENT.post("/nothing", cast_to=object, body={}))
    assert text(chat()), "the server goes on"


@check
def many_at_once_answer_as_alone():
    options = {"temperature": 1.0, "max_tokens": 16}
    alone = [text(chat(seed=seed, **options)) for seed in range(6)]

    async def together():
        async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0) as client:
            return await asyncio.gather(*(chat(client=client, seed=seed, **options) for seed in range(6)))

    assert [text(answer) for answer in asyncio.run(together())] == alone


@check
def clients_that_leave_end_their_work():
    # More than the server makes at the same time; each would take longer than this check may.
    deadline = time.monotonic() + 15
    for _ in range(12):
        while True:
            try:
                stream = chat(stream=True, max_tokens=1500, extra_body={"ignore_eos": True})
                break
            except openai.RateLimitError as error:
                assert time.monotonic() < deadline, "places are held for nobody"
                assert error.response.headers["retry-after"], error
                time.sleep(0.02)
        for _, _ in zip(range(3), stream):
            pass
        stream.close()


def request(path, body=None):
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    return urllib.request.Request(URL + path, json.dumps(body).encode() if body else None, headers)


def main():
    num_failed = 0
    for function in CHECKS:
        start = time.monotonic()
        try:
            function()
        except Exception:
            num_failed += 1
            traceback.print_exc()
            print(f"FAILED {function.__name__}")
        else:
            print(f"ok {function.__name__} ({time.monotonic() - start:.2f} s)")
    print(f"openai {openai.__version__} (Python): {len(CHECKS) - num_failed} passed, {num_failed} failed")
    sys.exit(num_failed > 0)


main()
