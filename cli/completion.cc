#include "cli/completion.h"

#include <set>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace midwatch::cli {
namespace {

using Option = CommandTree::Option;
using Kind = CommandTree::Kind;

void ForEach(const CommandTree& tree,
             absl::FunctionRef<void(const CommandTree&)> visit) {
  visit(tree);
  for (const CommandTree& subcommand : tree.subcommands) {
    ForEach(subcommand, visit);
  }
}

// Within single quotes of any of the three shells.
std::string Quote(const std::string& text, const char* quote_mark) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", quote_mark}}), "'");
}
std::string ShQuote(const std::string& text) { return Quote(text, "'\\''"); }
std::string FishQuote(const std::string& text) {
  return Quote(absl::StrReplaceAll(text, {{"\\", "\\\\"}}), "\\'");
}

// Patterns of a shell's `case`: what follows these words is a value.
std::string ValuedOptions(const CommandTree& tree, const char* separator) {
  std::set<std::string> names;
  ForEach(tree, [&](const CommandTree& command) {
    for (const Option& option : command.options) {
      if (!option.name.empty() && option.kind != Kind::kNone) {
        names.insert(option.name);
      }
    }
  });
  return absl::StrJoin(names, separator);
}

std::string SubcommandPaths(const CommandTree& tree, const char* separator) {
  std::vector<std::string> paths;
  ForEach(tree, [&](const CommandTree& command) {
    if (&command != &tree) paths.push_back(ShQuote(command.path));
  });
  return absl::StrJoin(paths, separator);
}

// "  case $at ... esac" over all commands, each with what `body` makes of it.
std::string CaseOf(const CommandTree& tree, const char* subject,
                   absl::FunctionRef<std::string(const CommandTree&)> body) {
  std::string out = absl::StrCat("  case ", subject, " in\n");
  ForEach(tree, [&](const CommandTree& command) {
    absl::StrAppend(&out, body(command));
  });
  return absl::StrCat(out, "  esac\n");
}

// The arms for values of options, keyed by "path option".
std::string ValueArms(const CommandTree& command,
                      absl::FunctionRef<std::string(const Option&)> action) {
  std::string out;
  for (const Option& option : command.options) {
    if (option.name.empty() || option.kind == Kind::kNone) continue;
    absl::StrAppend(&out, "    ",
                    ShQuote(absl::StrCat(command.path, " ", option.name)), ") ",
                    action(option), "return ;;\n");
  }
  return out;
}

Kind PositionalKind(const CommandTree& command) {
  for (const Option& option : command.options) {
    if (option.name.empty()) return option.kind;
  }
  return Kind::kNone;
}

}  // namespace

std::string BashCompletion(const CommandTree& tree) {
  std::string out = absl::StrCat(
      "# bash completion of ", tree.name, ": source it, or keep it as\n",
      "# ~/.local/share/bash-completion/completions/", tree.name, "\n_",
      tree.name, "() {\n",
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
      "  local at=",
      tree.name,
      " skip= i\n"
      "  COMPREPLY=()\n"
      "  # bash takes --name=value for three words.\n"
      "  if [[ $cur == = ]]; then cur=; "
      "elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    if [[ -n $skip ]]; then\n"
      "      [[ ${COMP_WORDS[i]} == = ]] || skip=\n"
      "      continue\n"
      "    fi\n"
      "    case ${COMP_WORDS[i]} in ",
      ValuedOptions(tree, "|"), ") skip=1 ;; esac\n",
      "    case \"$at ${COMP_WORDS[i]}\" in\n      ",
      SubcommandPaths(tree, "|\\\n      "),
      ") at+=\" ${COMP_WORDS[i]}\" ;;\n    esac\n  done\n");
  absl::StrAppend(
      &out, CaseOf(tree, "\"$at $prev\"", [](const CommandTree& command) {
        return ValueArms(command, [](const Option& option) -> std::string {
          if (option.kind == Kind::kFile) {
            return "COMPREPLY=($(compgen -f -- \"$cur\")); ";
          }
          if (option.kind == Kind::kFolder) {
            return "COMPREPLY=($(compgen -d -- \"$cur\")); ";
          }
          if (option.kind == Kind::kWords) {
            return absl::StrCat("COMPREPLY=($(compgen -W ",
                                ShQuote(absl::StrJoin(option.words, " ")),
                                " -- \"$cur\")); ");
          }
          return "";
        });
      }));
  absl::StrAppend(
      &out, "  local words=\n",
      CaseOf(
          tree, "$at",
          [](const CommandTree& command) {
            std::vector<std::string> words;
            for (const CommandTree& subcommand : command.subcommands) {
              words.push_back(subcommand.name);
            }
            for (const Option& option : command.options) {
              if (!option.name.empty()) {
                words.push_back(option.name);
              } else {
                words.insert(words.end(), option.words.begin(),
                             option.words.end());
              }
            }
            const char* files = "";
            if (PositionalKind(command) == Kind::kFile) {
              files =
                  "[[ $cur == -* ]] || COMPREPLY=($(compgen -f -- \"$cur\")); ";
            }
            return absl::StrCat("    ", ShQuote(command.path), ") ", files,
                                "words=", ShQuote(absl::StrJoin(words, " ")),
                                " ;;\n");
          }),
      // Options only where one is begun, so that files stand out.
      "  if [[ ${#COMPREPLY[@]} -eq 0 ]]; then\n"
      "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
      "  fi\n}\ncomplete -o filenames -F _",
      tree.name, " ", tree.name, "\n");
  return out;
}

std::string ZshCompletion(const CommandTree& tree) {
  auto described = [](const std::string& word, const std::string& says) {
    return ShQuote(
        absl::StrCat(absl::StrReplaceAll(word, {{":", "\\:"}}), ":", says));
  };
  std::string out =
      absl::StrCat("#compdef ", tree.name, "\n_", tree.name, "() {\n",
                   "  local at=", tree.name,
                   " skip= i\n"
                   "  for ((i = 2; i < CURRENT; i++)); do\n"
                   "    if [[ -n $skip ]]; then skip=; continue; fi\n"
                   "    case $words[i] in ",
                   ValuedOptions(tree, "|"), ") skip=1 ;; esac\n",
                   "    case \"$at $words[i]\" in\n      ",
                   SubcommandPaths(tree, "|\\\n      "),
                   ") at+=\" $words[i]\" ;;\n    esac\n  done\n");
  absl::StrAppend(
      &out,
      CaseOf(tree, "\"$at $words[CURRENT-1]\"", [](const CommandTree& command) {
        return ValueArms(command, [](const Option& option) -> std::string {
          if (option.kind == Kind::kFile) return "_files; ";
          if (option.kind == Kind::kFolder) return "_files -/; ";
          if (option.kind == Kind::kWords) {
            return absl::StrCat("compadd -- ", absl::StrJoin(option.words, " "),
                                "; ");
          }
          return absl::StrCat("_message ", ShQuote(option.says), "; ");
        });
      }));
  absl::StrAppend(
      &out, "  local -a subcommands options\n",
      CaseOf(tree, "$at",
             [&](const CommandTree& command) {
               std::string arm =
                   absl::StrCat("    ", ShQuote(command.path), ")\n");
               for (const CommandTree& subcommand : command.subcommands) {
                 absl::StrAppend(&arm, "      subcommands+=(",
                                 described(subcommand.name, subcommand.says),
                                 ")\n");
               }
               for (const Option& option : command.options) {
                 if (option.name.empty()) {
                   for (const std::string& word : option.words) {
                     absl::StrAppend(&arm, "      subcommands+=(", word, ")\n");
                   }
                   continue;
                 }
                 absl::StrAppend(&arm, "      options+=(",
                                 described(option.name, option.says), ")\n");
               }
               if (PositionalKind(command) == Kind::kFile) {
                 absl::StrAppend(&arm, "      [[ $PREFIX == -* ]] || _files\n");
               }
               return absl::StrCat(arm, "      ;;\n");
             }),
      "  (($#subcommands)) && _describe command subcommands\n"
      "  _describe option options\n}\n"
      // Sourced, or found in $fpath.
      "if [[ $funcstack[1] == _",
      tree.name, " ]]; then _", tree.name, "; else compdef _", tree.name, " ",
      tree.name, "; fi\n");
  return out;
}

std::string FishCompletion(const CommandTree& tree) {
  std::string out = absl::StrCat(
      "# fish completion of ", tree.name, ": keep it as\n",
      "# ~/.config/fish/completions/", tree.name, ".fish\n", "function __",
      tree.name, "_at\n    set -l at ", tree.name,
      "\n    set -l skip 0\n"
      "    for word in (commandline -opc)[2..-1]\n"
      "        if test $skip = 1\n"
      "            set skip 0\n"
      "            continue\n"
      "        end\n"
      "        switch $word\n            case ",
      ValuedOptions(tree, " "),
      "\n                set skip 1\n        end\n"
      "        switch \"$at $word\"\n            case ",
      SubcommandPaths(tree, " "),
      "\n                set at \"$at $word\"\n        end\n    end\n"
      "    test \"$at\" = \"$argv[1]\"\nend\ncomplete -c ",
      tree.name, " -f\n");
  ForEach(tree, [&](const CommandTree& command) {
    const std::string line =
        absl::StrCat("complete -c ", tree.name, " -n \"__", tree.name, "_at '",
                     command.path, "'\"");
    for (const CommandTree& subcommand : command.subcommands) {
      absl::StrAppend(&out, line, " -a ", subcommand.name, " -d ",
                      FishQuote(subcommand.says), "\n");
    }
    for (const Option& option : command.options) {
      std::string value;
      if (option.kind == Kind::kFile) value = " -r -F";
      if (option.kind == Kind::kFolder) {
        value = " -x -a '(__fish_complete_directories)'";
      }
      if (option.kind == Kind::kWords) {
        value = absl::StrCat(" -x -a ",
                             FishQuote(absl::StrJoin(option.words, " ")));
      }
      if (option.kind == Kind::kText) value = " -x";
      if (!option.name.empty()) {
        absl::StrAppend(&out, line, " -l ", option.name.substr(2), value,
                        " -d ", FishQuote(option.says), "\n");
      } else if (option.kind == Kind::kFile) {
        absl::StrAppend(&out, line, " -F\n");
      } else if (option.kind == Kind::kWords) {
        absl::StrAppend(&out, line, " -a ",
                        FishQuote(absl::StrJoin(option.words, " ")), "\n");
      }
    }
  });
  return out;
}

}  // namespace midwatch::cli
