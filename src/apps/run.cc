// shoehorn run: a chat on the terminal, or one answer to -p, --file or standard input.

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <iterator>

#include "apps/chat_session.h"
#include "apps/command.h"
#include "apps/model_options.h"
#include "apps/terminal.h"
#include "base/clock.h"
#include "base/file.h"
#include "engine/statistics.h"

namespace shoehorn {
namespace {

// Set by Ctrl-C: ends the answer that is being written; a second one before it ends leaves the
// program.
volatile std::sig_atomic_t interrupted = 0;

void on_interrupt(int) {
  if (interrupted) {
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
  }
  interrupted = 1;
}

struct RunOptions {
  ModelOptions model;
  ChatOptions chat;
  std::string prompt;
  std::string prompt_file;
  bool quiet = false;
};

void print_statistics(ThreadPool& pool, OpenedModel& model, const Answer& answer) {
  const double limit = weight_read_bandwidth(pool, *model.engine);
  std::fprintf(stderr, "%s\n",
               describe(*model.engine, answer.statistics, answer.context_tokens, limit).c_str());
}

bool print_piece(std::string_view piece) {
  std::fwrite(piece.data(), 1, piece.size(), stdout);
  std::fflush(stdout);
  return !interrupted;
}

Result<void> answer_once(ThreadPool& pool, OpenedModel& model, const RunOptions& options,
                         const std::string& prompt) {
  ChatSession session(model, options.chat);
  const Answer answer = TRY(session.ask(prompt, print_piece));
  if (!answer.text.ends_with('\n')) std::fputc('\n', stdout);
  if (!options.quiet) print_statistics(pool, model, answer);
  return {};
}

constexpr const char* kChatHelp =
    "/reset  forget the conversation    /stats  speed of the last answer\n"
    "/exit   leave (also Ctrl-D)        Ctrl-C  stop the answer\n"
    "A line that ends in \\ goes on in the next one.\n";

// A question: one line, or several joined by a backslash at the end of each but the last. False: no
// more input.
bool read_question(std::string& question, bool prompt) {
  question.clear();
  std::string line;
  for (;;) {
    if (prompt) std::fputs(question.empty() ? "\n> " : ". ", stdout), std::fflush(stdout);
    if (!std::getline(std::cin, line)) return !question.empty();
    if (!line.ends_with('\\')) break;
    question += line.substr(0, line.size() - 1) + '\n';
  }
  question += line;
  return true;
}

Result<void> chat(ThreadPool& pool, OpenedModel& model, const RunOptions& options) {
  ChatSession session(model, options.chat);
  Answer last;
  std::printf("%s, context %ld tokens. /help tells what you can type.\n",
              model.checkpoint.config().model_name.c_str(),
              static_cast<long>(model.engine->options().max_context));
  for (std::string question; read_question(question, true);) {
    if (question == "/exit" || question == "/quit") break;
    if (question.empty()) continue;
    if (question == "/help") {
      std::fputs(kChatHelp, stdout);
    } else if (question == "/reset") {
      session.reset();
    } else if (question == "/stats") {
      if (last.statistics.prompt_tokens > 0) print_statistics(pool, model, last);
    } else {
      interrupted = 0;
      Result<Answer> answer = session.ask(question, print_piece);
      std::fputs("\n", stdout);
      if (!answer) {
        std::fprintf(stderr, "%s\n", answer.error().message.c_str());
      } else {
        last = *std::move(answer);
      }
      interrupted = 0;
    }
  }
  std::fputs("\n", stdout);
  return {};
}

Result<std::string> prompt_text(const RunOptions& options) {
  if (!options.prompt.empty()) return options.prompt;
  if (!options.prompt_file.empty()) return read_text_file(options.prompt_file);
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

// Values the user did not give: the files' own, else what the models' cards advise.
void fill_sampling(const CLI::App& parser, const GenerationConfig& files, ChatOptions& chat) {
  const auto given = [&](const char* option) { return parser.count(option) > 0; };
  SamplingParameters& sampling = chat.sampling;
  if (!given("--temperature"))
    sampling.temperature = files.temperature >= 0 ? files.temperature : 0.6;
  if (!given("--top-p")) sampling.top_p = files.top_p > 0 ? files.top_p : 0.95;
  if (!given("--top-k")) sampling.top_k = files.top_k > 0 ? files.top_k : 0;
  if (!given("--repetition-penalty") && files.repetition_penalty > 0) {
    sampling.repetition_penalty = files.repetition_penalty;
  }
  if (!given("--seed")) {
    sampling.seed =
        static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  }
}

Result<void> run(const CLI::App& parser, RunOptions options) {
  // Everything that can be wrong with the request is found before the model is read.
  TRY(check(options.chat.sampling));
  const bool one_shot =
      parser.count("--prompt") > 0 || parser.count("--file") > 0 || !is_terminal(STDIN_FILENO);
  std::string prompt;
  if (one_shot) {
    prompt = TRY(prompt_text(options));
    if (prompt.empty())
      return fail("the prompt is empty: give -p TEXT, --file FILE or standard input");
  }
  const std::unique_ptr<ThreadPool> pool = make_pool(options.model);
  OpenedModel model = TRY(open_for_command(*pool, options.model, 1, true));
  fill_sampling(parser, model.checkpoint.generation_config(), options.chat);
  std::signal(SIGINT, on_interrupt);
  return one_shot ? answer_once(*pool, model, options, prompt) : chat(*pool, model, options);
}

void add_sampling_options(CLI::App& parser, ChatOptions& chat) {
  SamplingParameters& sampling = chat.sampling;
  parser
      .add_option("-n,--max-tokens", chat.max_new_tokens,
                  "Longest answer in tokens (default: what the context holds)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24));
  parser.add_option("--temperature", sampling.temperature,
                    "0: always the likeliest token; higher: more variety (default 0.6)");
  parser.add_option("--top-k", sampling.top_k, "Choose among the k likeliest tokens (0: all)");
  parser.add_option("--top-p", sampling.top_p,
                    "Choose among the likeliest tokens that reach this probability (default 0.95)");
  parser.add_option("--min-p", sampling.min_p,
                    "Leave out tokens less likely than this part of the likeliest");
  parser.add_option("--repetition-penalty", sampling.repetition_penalty,
                    "Above 1: tokens seen before become less likely");
  parser.add_option("--frequency-penalty", sampling.frequency_penalty,
                    "Taken from a token's logit for each time it was generated");
  parser.add_option("--presence-penalty", sampling.presence_penalty,
                    "Taken from a token's logit once it was generated");
  parser.add_option("--seed", sampling.seed, "The same seed gives the same answer");
  parser.add_option("--stop", chat.stop_strings, "End the answer before this text (repeatable)")
      ->type_name("TEXT");
}

}  // namespace

Command add_run_command(CLI::App& app) {
  CLI::App* parser = app.add_subcommand(
      "run",
      "Chat with a model, or answer one prompt\n\n"
      "Without -p or --file and with a terminal: a chat. Otherwise the prompt (standard input\n"
      "if neither is given) is answered once, to standard output.");
  auto options = std::make_shared<RunOptions>();
  add_model_options(*parser, options->model);
  auto* prompt = parser->add_option("-p,--prompt", options->prompt, "Answer this once and end")
                     ->type_name("TEXT");
  parser->add_option("-f,--file", options->prompt_file, "Answer the text of a file once and end")
      ->type_name("FILE")
      ->excludes(prompt);
  parser
      ->add_option("--system", options->chat.system,
                   "System message at the start of the conversation")
      ->type_name("TEXT");
  parser->add_flag("--raw", options->chat.raw,
                   "Continue the text as it is, without the model's chat template");
  add_sampling_options(*parser, options->chat);
  parser->add_flag("-q,--quiet", options->quiet, "Do not print statistics after the answer");
  return {parser, [parser, options] { return run(*parser, *options); }};
}

}  // namespace shoehorn
