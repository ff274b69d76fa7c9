// Reading YAML (of which JSON is a part) against a fixed vocabulary, with every
// complaint at its line and column.
#ifndef MIDWATCH_CLI_YAML_READER_H_
#define MIDWATCH_CLI_YAML_READER_H_

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace midwatch::cli {

// What is wrong with one file, in the order in which it was found.
class Complaints {
 public:
  // More than so many help nobody: the rest is counted.
  static constexpr size_t kShownMax = 20;

  explicit Complaints(std::string file) : file_(std::move(file)) {}
  // Of a part of a file, in one line of it, that begins at `origin`.
  Complaints(std::string file, const YAML::Mark& origin)
      : file_(std::move(file)),
        lines_before_(origin.line),
        columns_before_(origin.column) {}

  // `message` says what is wrong and what was expected.
  void Add(const YAML::Mark& mark, absl::string_view message);
  size_t count() const { return count_; }
  // Those of another file, behind these.
  void Take(const Complaints& others);

  // kInvalidArgument with a line "FILE:LINE:COL: message" for each complaint;
  // OK where there is none.
  absl::Status ToStatus() const;

 private:
  std::string file_;
  int lines_before_ = 0, columns_before_ = 0;
  std::vector<std::string> lines_;
  size_t count_ = 0;
};

// The one document in `text`. Complains of bytes that are not UTF-8, control
// characters, bad syntax, no or several documents; then returns nothing.
std::optional<YAML::Node> ParseYaml(const std::string& text, bool is_json,
                                    Complaints& complaints);

// A key of a map. `read` is empty where the key does not belong there.
struct YamlKey {
  std::string name;
  std::function<void(const YAML::Node&)> read;
  bool required = false;
  // Without `read`: where it does ("in defaults"); "" where it is in no file of
  // this release.
  std::string place = "";
};

// Calls `read` for each key in the order of `keys`. Complains where `node` is
// not a map, and of unknown, doubled and missing keys. `what` names the map in
// complaints: "a task".
void ReadMap(const YAML::Node& node, absl::string_view what,
             const std::vector<YamlKey>& keys, Complaints& complaints);

// Complain, then return nothing, where `node` is not a list, or holds a list or
// map or null where one value belongs. `what` names it: "max_running".
bool IsList(const YAML::Node& node, absl::string_view what,
            Complaints& complaints);
std::optional<std::string> ReadText(const YAML::Node& node,
                                    absl::string_view what,
                                    Complaints& complaints);
std::optional<bool> ReadBool(const YAML::Node& node, absl::string_view what,
                             Complaints& complaints);

// `node` as JSON, by YAML's core schema: plain true, false, null, integers and
// decimals keep their type, all else is text, passed through `fill`. Complains
// of what JSON cannot hold, of more than 64 levels and of more than 32 MiB.
std::string ToJson(const YAML::Node& node,
                   const std::function<std::string(const std::string&)>& fill,
                   Complaints& complaints);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_YAML_READER_H_
