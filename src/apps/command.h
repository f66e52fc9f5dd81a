// One file a command. Each declares its options on the command line parser and returns what to do
// when it is chosen.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace shoehorn {

struct Command {
  CLI::App* parser = nullptr;
  std::function<Result<void>()> body;
};

Command add_run_command(CLI::App& app);
Command add_inspect_command(CLI::App& app);
Command add_bench_command(CLI::App& app);
Command add_eval_perplexity_command(CLI::App& app);
Command add_doctor_command(CLI::App& app);
Command add_plan_command(CLI::App& app);
Command add_synth_command(CLI::App& app);
Command add_completion_command(CLI::App& app);

}  // namespace shoehorn
