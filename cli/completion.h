#ifndef MIDWATCH_CLI_COMPLETION_H_
#define MIDWATCH_CLI_COMPLETION_H_

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace midwatch::cli {

// A command as its completion sees it.
struct CommandTree {
  enum class Kind { kNone, kFile, kFolder, kWords, kText };
  // An option, or, with an empty name, what stands alone.
  struct Option {
    std::string name;  // "--output"
    std::string says;
    Kind kind = Kind::kNone;         // of its value
    std::vector<std::string> words;  // kWords
  };
  std::string path;  // "midwatch batch list"
  std::string name;  // "list"
  std::string says;
  std::vector<Option> options;  // those of the commands above it too
  std::vector<CommandTree> subcommands;
};

// What the parser itself knows, so that no list can differ from it.
CommandTree ReadCommandTree(const CLI::App& app);

// A script to be sourced by that shell. Words and descriptions hold no control
// characters.
std::string BashCompletion(const CommandTree& tree);
std::string ZshCompletion(const CommandTree& tree);
std::string FishCompletion(const CommandTree& tree);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_COMPLETION_H_
