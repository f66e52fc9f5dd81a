// shoehorn completion: scripts that teach a shell the commands and options, made from the parser
// itself.

#include <cstdio>
#include <set>

#include "apps/command.h"

namespace shoehorn {
namespace {

std::string long_options(const CLI::App& app) {
  std::string text;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) text += "--" + name + " ";
  }
  return text;
}

std::string subcommand_names(const CLI::App& app) {
  std::string text;
  for (const CLI::App* sub : app.get_subcommands({})) text += sub->get_name() + " ";
  return text;
}

// One case of the shell function for each command, nested ones by their path.
void append_cases(const CLI::App& app, const std::string& path, std::string& cases) {
  for (const CLI::App* sub : app.get_subcommands({})) {
    const std::string name = path.empty() ? sub->get_name() : path + " " + sub->get_name();
    cases += fmt::format("    \"{}\") words=\"{}{}\" ;;\n", name, subcommand_names(*sub),
                         long_options(*sub));
    append_cases(*sub, name, cases);
  }
}

// The words typed so far that are commands make the path; then its subcommands, options and files
// are offered.
constexpr const char* kBash = R"(_shoehorn() {{
  local path="" word words current="${{COMP_WORDS[COMP_CWORD]}}"
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$word" in -*) break ;; esac
    case " {0}" in *" $word "*) path="${{path:+$path }}$word" ;; *) break ;; esac
  done
  case "$path" in
    "") words="{1}" ;;
{2}  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  case "$path" in ""|eval) ;; *) COMPREPLY+=($(compgen -f -- "$current")) ;; esac
}}
complete -o filenames -F _shoehorn shoehorn
)";

std::string bash_script(const CLI::App& app) {
  std::string cases;
  append_cases(app, "", cases);
  std::string commands = subcommand_names(app);
  for (const CLI::App* sub : app.get_subcommands({})) commands += subcommand_names(*sub);
  return fmt::format(fmt::runtime(kBash), commands, subcommand_names(app) + long_options(app),
                     cases);
}

void append_fish(const CLI::App& app, const std::string& path, std::string& text) {
  const std::string condition = path.empty() ? std::string("__fish_use_subcommand")
                                             : fmt::format("__fish_seen_subcommand_from {}", path);
  for (const CLI::App* sub : app.get_subcommands({})) {
    const std::string description = sub->get_description();
    text += fmt::format("complete -c shoehorn -n '{}' -a {} -d '{}'\n", condition, sub->get_name(),
                        description.substr(0, description.find('\n')));
    append_fish(*sub, sub->get_name(), text);
  }
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      text += fmt::format("complete -c shoehorn -n '{}' -l {}\n", condition, name);
    }
  }
}

Result<void> print_completion(const CLI::App& app, const std::string& shell) {
  std::string text;
  if (shell == "bash") text = bash_script(app);
  if (shell == "zsh") text = "autoload -U +X bashcompinit && bashcompinit\n" + bash_script(app);
  if (shell == "fish") append_fish(app, "", text);
  std::fputs(text.c_str(), stdout);
  return {};
}

}  // namespace

Command add_completion_command(CLI::App& app) {
  CLI::App* parser = app.add_subcommand("completion",
                                        "Print a completion script for a shell\n\n"
                                        "  source <(shoehorn completion bash)");
  auto shell = std::make_shared<std::string>();
  parser->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  return {parser, [&app, shell] { return print_completion(app, *shell); }};
}

}  // namespace shoehorn
