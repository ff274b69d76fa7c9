#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/completion.h"

namespace midwatch::cli {
namespace {

using Option = CommandTree::Option;
using Kind = CommandTree::Kind;

// "{a,b}" in the type's name is how a CLI::IsMember describes itself.
std::vector<std::string> WordsOf(const std::string& type) {
  const size_t open = type.find('{'), close = type.find('}');
  if (open == type.npos || close == type.npos || close < open) return {};
  return absl::StrSplit(type.substr(open + 1, close - open - 1), ',');
}

void SetKind(const CLI::Option& from, const std::string& type, Option& to) {
  to.words = WordsOf(from.get_type_name());
  if (from.get_items_expected_max() == 0) {
    to.kind = Kind::kNone;
  } else if (!to.words.empty()) {
    to.kind = Kind::kWords;
  } else if (type == "FILE") {
    to.kind = Kind::kFile;
  } else if (type == "DIR") {
    to.kind = Kind::kFolder;
  } else {
    to.kind = Kind::kText;
  }
}

CommandTree Read(const CLI::App& app, const std::string& above,
                 const std::vector<Option>& inherited) {
  CommandTree tree;
  tree.name = app.get_name();
  tree.path = above.empty() ? tree.name : absl::StrCat(above, " ", tree.name);
  tree.says = app.get_description();
  tree.options = inherited;
  std::vector<Option> handed_down = inherited;
  for (const CLI::Option* option : app.get_options()) {
    Option out;
    out.says = option->get_description();
    if (option->get_positional()) {
      SetKind(*option, option->get_name(true), out);
      tree.options.push_back(out);
      continue;
    }
    if (option->get_lnames().empty()) continue;
    out.name = "--" + option->get_lnames().front();
    SetKind(*option, option->get_type_name(), out);
    tree.options.push_back(out);
    // Every subcommand has a --help of its own; --version is the program's.
    if (app.get_fallthrough() && out.kind != Kind::kNone) {
      handed_down.push_back(out);
    }
  }
  for (const CLI::App* subcommand : app.get_subcommands({})) {
    tree.subcommands.push_back(Read(*subcommand, tree.path, handed_down));
  }
  return tree;
}

}  // namespace

CommandTree ReadCommandTree(const CLI::App& app) { return Read(app, "", {}); }

}  // namespace midwatch::cli
