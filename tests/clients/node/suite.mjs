// The official Node client against a live server: chat, streams, tools, schemas, embeddings, errors, cancellation.
//
// Usage: node suite.mjs URL KEY. Every check prints a line; the last line counts them. Needs a model with a chat template.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { VERSION } from "openai/version";

const [url, key] = process.argv.slice(2);
const options = { baseURL: `${url}/v1`, apiKey: key, maxRetries: 0, timeout: 60_000 };
const client = new OpenAI(options);
const model = (await client.models.list()).data[0].id;
const question = [{ role: "user", content: "Name three colours." }];
const parameters = {
  type: "object",
  properties: { city: { type: "string" }, unit: { enum: ["celsius", "kelvin"] } },
  required: ["city", "unit"],
  additionalProperties: false,
};
const tools = [{ type: "function", function: { name: "weather", description: "The weather at a place", parameters } }];
const forced = { tools, tool_choice: { type: "function", function: { name: "weather" } }, max_tokens: 80 };

const chat = (more = {}, messages = question) =>
  client.chat.completions.create({ model, messages, max_tokens: 24, temperature: 0, ...more });
const text = (answer) => answer.choices[0].message.content;

async function collect(stream, part) {
  const parts = [];
  for await (const chunk of stream) {
    for (const choice of chunk.choices) parts.push(part(choice));
  }
  return parts;
}

const checks = {
  async models_are_listed_and_found() {
    assert.equal((await client.models.retrieve(model)).id, model);
  },

  async chat_answers_and_counts() {
    const answer = await chat();
    assert(text(answer).trim());
    assert(["stop", "length"].includes(answer.choices[0].finish_reason));
    const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
    assert.equal(total_tokens, prompt_tokens + completion_tokens);
  },

  async a_stream_is_the_answer_in_parts() {
    const whole = await chat();
    const stream = await chat({ stream: true, stream_options: { include_usage: true } });
    let usage = null;
    const parts = [];
    for await (const chunk of stream) {
      usage = chunk.usage ?? usage;
      for (const choice of chunk.choices) parts.push(choice.delta.content ?? "");
    }
    assert.equal(parts.join(""), text(whole));
    assert.deepEqual(usage.completion_tokens, whole.usage.completion_tokens);
    const helper = client.chat.completions.stream({ model, messages: question, max_tokens: 24, temperature: 0 });
    assert.equal(await helper.finalContent(), text(whole));
  },

  async several_choices_come_apart() {
    const more = { n: 2, seed: 5, temperature: 1, max_tokens: 12 };
    const answer = await chat(more);
    const streamed = ["", ""];
    await collect(await chat({ ...more, stream: true }), (choice) => {
      streamed[choice.index] += choice.delta.content ?? "";
    });
    assert.deepEqual(streamed, answer.choices.map((choice) => choice.message.content));
  },

  async tools_are_called_with_what_their_schema_wants() {
    const messages = [{ role: "user", content: "Weather in Paris?" }];
    const [call] = (await chat(forced, messages)).choices[0].message.tool_calls;
    const parsed = JSON.parse(call.function.arguments);
    assert.deepEqual(Object.keys(parsed).sort(), ["city", "unit"]);
    assert(["celsius", "kelvin"].includes(parsed.unit));
    const parts = await collect(await chat({ ...forced, stream: true }, messages), (choice) => choice.delta.tool_calls ?? []);
    const streamed = parts.flat().map((part) => part.function.arguments ?? "");
    assert.equal(streamed.join(""), call.function.arguments);
  },

  async a_schema_is_followed() {
    const schema = {
      type: "object",
      properties: { name: { type: "string", maxLength: 12 }, age: { type: "integer", minimum: 0, maximum: 99 } },
      required: ["name", "age"],
      additionalProperties: false,
    };
    const response_format = { type: "json_schema", json_schema: { name: "person", strict: true, schema } };
    const found = JSON.parse(text(await chat({ response_format, max_tokens: 60 })));
    assert(found.name.length <= 12 && found.age >= 0 && found.age <= 99, JSON.stringify(found));
  },

  async logprobs_belong_to_the_tokens() {
    const answer = await chat({ logprobs: true, top_logprobs: 2, max_tokens: 6 });
    const entries = answer.choices[0].logprobs.content;
    assert.equal(entries.length, answer.usage.completion_tokens);
    for (const entry of entries) assert.equal(entry.logprob, entry.top_logprobs[0].logprob);
  },

  async embeddings_keep_their_order() {
    const input = ["the king", "a horse", "the king"];
    const packed = await client.embeddings.create({ model, input });
    const plain = await client.embeddings.create({ model, input, encoding_format: "float" });
    const vectors = packed.data.map((entry) => Array.from(entry.embedding));
    assert.deepEqual(vectors[0], vectors[2]);
    assert.notDeepEqual(vectors[0], vectors[1]);
    plain.data.forEach((entry, i) => {
      assert.equal(entry.index, i);
      entry.embedding.forEach((x, j) => assert(Math.abs(x - vectors[i][j]) < 1e-6));
    });
  },

  async errors_are_typed() {
    const stranger = new OpenAI({ ...options, apiKey: "wrong" });
    await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
    await assert.rejects(client.models.retrieve("no-such-model"), OpenAI.NotFoundError);
    await assert.rejects(chat({ temperature: -1 }), (error) => {
      assert(error instanceof OpenAI.BadRequestError);
      assert.equal(error.param, "temperature");
      return true;
    });
    assert(text(await chat()), "the server goes on");
  },

  async clients_that_leave_end_their_work() {
    // More than the server makes at the same time; each would take longer than this check may.
    const deadline = Date.now() + 15_000;
    for (let i = 0; i < 12; i++) {
      let stream = null;
      while (stream === null) {
        try {
          stream = await chat({ stream: true, max_tokens: 1500, ignore_eos: true });
        } catch (error) {
          assert(error instanceof OpenAI.RateLimitError && Date.now() < deadline, error);
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
      let seen = 0;
      for await (const _ of stream) {
        if (++seen === 3) break;
      }
    }
  },
};

let numFailed = 0;
for (const [name, check] of Object.entries(checks)) {
  const start = Date.now();
  try {
    await check();
    console.log(`ok ${name} (${((Date.now() - start) / 1000).toFixed(2)} s)`);
  } catch (error) {
    numFailed += 1;
    console.error(error);
    console.log(`FAILED ${name}`);
  }
}
const numPassed = Object.keys(checks).length - numFailed;
console.log(`openai ${VERSION} (Node): ${numPassed} passed, ${numFailed} failed`);
process.exitCode = numFailed > 0 ? 1 : 0;
