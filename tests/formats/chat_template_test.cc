// Chat templates against transformers' own rendering (tests/golden/chat, made by
// tools/make_chat_goldens.py), and what must be refused.
#include "formats/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>

#include "base/file.h"

namespace shoehorn {
namespace {

using Json = nlohmann::ordered_json;
using testing::AllOf;
using testing::HasSubstr;

std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(SOURCE_ROOT) / "tests/golden/chat" / name;
}

std::string read(const std::filesystem::path& path) {
  return read_text_file(path).value();
}

Json read_json(const std::string& name) {
  return Json::parse(read(golden(name)), nullptr, false);
}

Result<std::string> render(const std::string& text, const ChatTemplateInput& input = {}) {
  Result<ChatTemplate> chat = ChatTemplate::parse(text, "file.json");
  if (!chat) return chat.error();
  return chat->render(input);
}

std::string message_of(const std::string& text, const ChatTemplateInput& input = {}) {
  const Result<std::string> output = render(text, input);
  return output ? "no error, but: " + *output : output.error().message;
}

// What the reference gave, or null where it raised an error.
void expect_golden(const Json& expected, const Result<std::string>& output) {
  if (expected.is_null()) {
    EXPECT_FALSE(output.ok()) << "expected an error, found: " << output.value();
  } else if (!output) {
    ADD_FAILURE() << output.error().message << "\nexpected: " << expected;
  } else {
    EXPECT_EQ(*output, expected.get<std::string>());
  }
}

ChatTemplateInput conversation(const Json& all, const Json& one) {
  return {.messages = one["messages"],
          .tools = one["tools"],
          .variables = one["variables"],
          .add_generation_prompt = one["add_generation_prompt"].get<bool>(),
          .bos_token = all["bos_token"].get<std::string>(),
          .eos_token = all["eos_token"].get<std::string>()};
}

TEST(ChatTemplate, RendersModelTemplatesAsTransformersDoes) {
  const Json all = read_json("conversations.json");
  int templates = 0;
  int rendered = 0;
  for (const auto& entry : std::filesystem::directory_iterator(golden("templates"))) {
    if (entry.path().extension() != ".jinja") continue;
    ++templates;
    SCOPED_TRACE(entry.path().filename());
    const Result<ChatTemplate> chat = ChatTemplate::parse(read(entry.path()), "template");
    ASSERT_TRUE(chat.ok()) << chat.error().message;
    const Json expected = read_json(entry.path().stem().string() + ".json");
    ASSERT_EQ(expected.size(), all["conversations"].size());
    for (const Json& one : all["conversations"]) {
      const std::string name = one["name"].get<std::string>();
      SCOPED_TRACE(name);
      ASSERT_TRUE(expected.contains(name));
      expect_golden(expected[name], chat->render(conversation(all, one)));
      rendered += expected[name].is_string() ? 1 : 0;
    }
  }
  EXPECT_EQ(templates, 14);
  EXPECT_GT(rendered, 300);
}

TEST(ChatTemplate, EvaluatesExpressionsAsJinjaDoes) {
  const Json expressions = read_json("expressions.json");
  Json variables = expressions["variables"];
  variables["date_string"] = "26 Jul 2024";
  const Json messages = {{{"role", "user"}, {"content", "Hello!"}},
                         {{"role", "assistant"}, {"content", "Hi there. What can I do?"}}};
  EXPECT_GT(expressions["cases"].size(), 700u);
  for (const Json& item : expressions["cases"]) {
    const std::string text = item[0].get<std::string>();
    SCOPED_TRACE(text);
    expect_golden(item[1], render(text, {.messages = messages,
                                         .variables = variables,
                                         .bos_token = "<bos>",
                                         .eos_token = "<eos>"}));
  }
}

TEST(ChatTemplate, NamesTheLineAndWhatWasExpected) {
  EXPECT_THAT(message_of("a\nb\n{% if true %}x"),
              AllOf(HasSubstr("file.json: chat template: line 3"), HasSubstr("'endif'"),
                    HasSubstr("found the end of the template")));
  EXPECT_THAT(message_of("\n{{ 1 + }}"), AllOf(HasSubstr("line 2"), HasSubstr("found '}}'")));
  EXPECT_THAT(message_of("{{ (1, 2] }}"), HasSubstr("expected ')', found ']'"));
  EXPECT_THAT(message_of("{% for x of y %}"), HasSubstr("expected 'in', found 'of'"));
  EXPECT_THAT(message_of("\n\n{{ {'a': 1}.b + 'x' }}"),
              AllOf(HasSubstr("line 3"), HasSubstr("has no attribute 'b'")));
}

TEST(ChatTemplate, NamesWhatIsUndefined) {
  EXPECT_THAT(message_of("{{ missing.name }}"), HasSubstr("'missing' is undefined"));
  EXPECT_THAT(message_of("{{ {'a': 1}.b.c }}"), HasSubstr("'dict object' has no attribute 'b'"));
  EXPECT_THAT(message_of("{{ missing() }}"), HasSubstr("'missing' is undefined"));
}

TEST(ChatTemplate, RefusesWhatIsNotSupportedByName) {
  for (const char* name : {"include", "import", "from", "extends", "block", "autoescape", "do"}) {
    EXPECT_THAT(message_of(std::string("{% ") + name + " 'x' %}"),
                HasSubstr(std::string("'") + name + "' is not supported"));
  }
  EXPECT_THAT(message_of("{{ 1 | pprint }}"), HasSubstr("the filter 'pprint' is not supported"));
  EXPECT_THAT(message_of("{{ 1 is prime }}"), HasSubstr("the test 'prime' is not supported"));
  EXPECT_THAT(message_of("{{ 'a'.encode() }}"), HasSubstr("the method 'encode' of str"));
  EXPECT_THAT(message_of("{% for x in [] recursive %}{% endfor %}"), HasSubstr("recursive"));
}

TEST(ChatTemplate, PassesOnTheMessageOfRaiseException) {
  EXPECT_THAT(message_of("{% if true %}\n{{ raise_exception('Roles must alternate') }}{% endif %}"),
              AllOf(HasSubstr("file.json"), HasSubstr("line 2"),
                    HasSubstr("the template refuses the conversation: Roles must alternate")));
}

TEST(ChatTemplate, KeepsTheSandbox) {
  EXPECT_THAT(message_of("{{ ''.__class__.__mro__ }}"),
              HasSubstr("'__class__' of 'str' object is unsafe"));
  EXPECT_THAT(message_of("{{ [].append(1) }}"), HasSubstr("'append' of 'list' object is unsafe"));
  EXPECT_THAT(message_of("{{ {}.update(a=1) }}"), HasSubstr("'update' of 'dict' object is unsafe"));
}

TEST(ChatTemplate, RefusesIntegersBeyond64Bits) {
  EXPECT_THAT(message_of("{{ 9223372036854775807 + 1 }}"), HasSubstr("below 2^63"));
  EXPECT_THAT(message_of("{{ 3 ** 99 }}"), HasSubstr("below 2^63"));
  EXPECT_THAT(message_of("{{ 99999999999999999999 }}"), HasSubstr("below 2^63"));
  EXPECT_THAT(message_of("{{ '99999999999999999999' | int }}"), HasSubstr("below 2^63"));
  EXPECT_THAT(message_of("{{ x }}", {.variables = {{"x", 18446744073709551615u}}}),
              HasSubstr("below 2^63"));
}

// Templates come from files of strangers: none may take the process with it.
TEST(ChatTemplate, BoundsMemoryAndTime) {
  EXPECT_THAT(message_of("{{ 'x' * 10 ** 9 }}"), HasSubstr("16 MiB"));
  EXPECT_THAT(message_of("{{ range(10 ** 9) | list }}"), HasSubstr("Range too big"));
  EXPECT_THAT(message_of("{{ [1] * 10 ** 9 }}"), HasSubstr("at most"));
  EXPECT_THAT(message_of("{{ '%1000000000d' % 1 }}"), HasSubstr("at most"));
  EXPECT_THAT(message_of("{{ ('a' * 10 ** 6).replace('a', 'b' * 10 ** 6) }}"), HasSubstr("16 MiB"));
  EXPECT_THAT(
      message_of("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"),
      HasSubstr("steps"));
  EXPECT_THAT(message_of("{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}"),
              HasSubstr("16 MiB of output"));
  EXPECT_THAT(message_of("{% set n = namespace(x=[1]) %}{% for i in range(99) %}"
                         "{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}"),
              HasSubstr("steps"));
  EXPECT_THAT(message_of("{% set n = namespace(x=[1], y=[1]) %}{% for i in range(99) %}"
                         "{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] %}{% endfor %}"
                         "{{ n.x == n.y }}"),
              HasSubstr("steps"));
  EXPECT_THAT(message_of("{% set n = namespace(x='ab') %}{% for i in range(99) %}"
                         "{% set n.x = n.x ~ n.x %}{% endfor %}"),
              HasSubstr("16 MiB"));
  EXPECT_THAT(message_of("{% set n = namespace(x=[]) %}{% for i in range(99) %}"
                         "{% set n.x = n.x + ['x' * 10 ** 7] %}{% endfor %}"),
              HasSubstr("256 MiB"));
}

TEST(ChatTemplate, BoundsNesting) {
  const std::string open(100'000, '(');
  const std::string close(100'000, ')');
  EXPECT_THAT(message_of("{{ " + open + "1" + close + " }}"), HasSubstr("nested"));
  std::string sum = "{{ 1";
  std::string blocks;
  std::string nots = "{{ ";
  for (int i = 0; i < 100'000; ++i) {
    sum += " + 1";
    nots += "not ";
    if (i < 10'000) blocks += "{% if true %}";
  }
  EXPECT_THAT(message_of(sum + " }}"), HasSubstr("nested"));
  EXPECT_THAT(message_of(nots + "1 }}"), HasSubstr("nested"));
  EXPECT_THAT(message_of(blocks), HasSubstr("nested"));
  EXPECT_THAT(message_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), HasSubstr("nested"));
  EXPECT_THAT(message_of("{% macro m() %}{% for i in [1] %}{% if m() %}{% endif %}{% endfor %}"
                         "{% endmacro %}{{ m() }}"),
              HasSubstr("nested"));
  EXPECT_THAT(message_of("{% set n = namespace(x=[]) %}{% for i in range(9999) %}"
                         "{% set n.x = [n.x] %}{% endfor %}{{ n.x }}"),
              HasSubstr("nested"));
  EXPECT_THAT(message_of("{% set n = namespace() %}{% set n.n = n %}{{ n }}"), HasSubstr("nested"));
  Json nested = Json::array();
  for (int i = 0; i < 1000; ++i) nested = Json::array({nested});
  EXPECT_THAT(message_of("{{ x }}", {.variables = {{"x", nested}}}), HasSubstr("nested"));
}

TEST(ChatTemplate, AppendingInALoopStaysLinear) {
  const std::string text =
      "{% set n = namespace(t='') %}{% for i in range(50000) %}{% set n.t = n.t + 'one more line "
      "of "
      "text' %}{% endfor %}{{ n.t | length }}";
  EXPECT_EQ(render(text).value(), std::to_string(50'000 * 21));
}

TEST(ChatTemplate, RefusesInputThatIsNotAConversation) {
  EXPECT_THAT(message_of("x", {.messages = "hello"}), HasSubstr("expected an array of messages"));
  EXPECT_THAT(message_of("x", {.messages = {1}}), HasSubstr("expected messages to be objects"));
  EXPECT_THAT(message_of("x", {.variables = 1}),
              HasSubstr("expected the variables to be an object"));
}

TEST(ChatTemplate, TakesTextThatIsNotUtf8) {
  const Json messages = {{{"role", "user"}, {"content", "a\xff\xc3"}}};
  EXPECT_EQ(render("{{ messages[0].content | length }}{{ messages[0].content[1:] }}",
                   {.messages = messages})
                .value(),
            "3\xff\xc3");
}

TEST(ChatTemplate, RendersTheLocalDate) {
  const std::string year = render("{{ strftime_now('%Y') }}").value();
  EXPECT_EQ(year.size(), 4u);
  EXPECT_EQ(year.substr(0, 2), "20");
}

TEST(ChatTemplate, IsUsableTwiceAndAfterAMove) {
  ChatTemplate chat = ChatTemplate::parse("{{ bos_token }}{{ messages | length }}", "x").value();
  EXPECT_EQ(chat.render({.bos_token = "<s>"}).value(), "<s>0");
  const ChatTemplate moved = std::move(chat);
  EXPECT_EQ(moved.render({.bos_token = "<t>"}).value(), "<t>0");
}

}  // namespace
}  // namespace shoehorn
