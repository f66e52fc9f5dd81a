// shoehorn: one program, one command each for what it can do. Exit codes: 0 done, 1 failed, 2 wrong
// usage.

#include <cstdio>
#include <exception>
#include <new>
#include <vector>

#include "apps/command.h"
#include "base/fault.h"

namespace shoehorn {
namespace {

constexpr const char* kDescription =
    "Shoehorn runs DeepSeek-family language models on machines that are too small for them.\n"
    "\n"
    "  shoehorn run MODEL                 chat with a model (a .gguf file or a Hugging Face "
    "directory)\n"
    "  shoehorn run MODEL -p \"Hello\"      answer once and end\n"
    "  shoehorn inspect MODEL             what a model is made of\n"
    "  shoehorn bench MODEL               how fast it runs here\n"
    "  shoehorn eval perplexity MODEL FILE\n"
    "  shoehorn doctor                    what this machine can do\n"
    "  shoehorn plan MODEL --machine M    what would go where on a machine, and how fast\n"
    "  shoehorn synth NAME -o FILE        a model of the true shape with random weights\n";

int run_chosen(const std::vector<Command>& commands) {
  for (const Command& command : commands) {
    if (!command.parser->parsed()) continue;
    const Result<void> result = command.body();
    if (result.ok()) return 0;
    std::fprintf(stderr, "error: %s\n", result.error().message.c_str());
    return 1;
  }
  return 2;
}

int main_checked(int argc, char** argv) {
  CLI::App app(kDescription, "shoehorn");
  app.require_subcommand(1);
  app.set_version_flag("--version", SHOEHORN_VERSION, "Print the version and end");
  app.set_help_flag("-h,--help", "Print this help and end; `shoehorn COMMAND --help` for more");

  CLI::App* eval = app.add_subcommand("eval", "Measure a model's quality");
  eval->require_subcommand(1);
  const std::vector<Command> commands = {
      add_run_command(app),    add_inspect_command(app),           add_bench_command(app),
      add_doctor_command(app), add_eval_perplexity_command(*eval), add_plan_command(app),
      add_synth_command(app),  add_completion_command(app)};
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
    if (const std::vector<std::string> unknown = app.remaining(true); !asked && !unknown.empty()) {
      std::fprintf(stderr, "'%s' is not known here\n", unknown.front().c_str());
    }
    app.exit(error);
    return asked ? 0 : 2;
  }
  if (const Result<void> armed = arm_faults_from_environment(); !armed.ok()) {
    std::fprintf(stderr, "error: %s\n", armed.error().message.c_str());
    return 2;
  }
  return run_chosen(commands);
}

}  // namespace
}  // namespace shoehorn

int main(int argc, char** argv) {
  try {
    return shoehorn::main_checked(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "error: out of memory\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
  }
  return 1;
}
