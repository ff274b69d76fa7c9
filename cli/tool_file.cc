#include "cli/tool_file.h"

#include <unistd.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/config_file.h"
#include "cli/utf8.h"
#include "cli/yaml_reader.h"

namespace midwatch::cli {
namespace {

namespace fs = std::filesystem;

class ToolReader {
 public:
  ToolReader(fs::path folder, Complaints& complaints)
      : folder_(std::move(folder)), complaints_(complaints) {}

  void Read(const YAML::Node& root, ToolFile& file) {
    ReadMap(root, "a file of tools",
            {{"tools",
              [&](const YAML::Node& n) {
                ReadNamed(n, "tool", file.tools,
                          [this](const YAML::Node& x) { return ReadTool(x); });
              }},
             {"checks",
              [&](const YAML::Node& n) {
                ReadNamed(n, "check", file.checks,
                          [this](const YAML::Node& x) { return ReadCheck(x); });
              }}},
            complaints_);
    if (root.IsMap() && !root["tools"] && !root["checks"]) {
      complaints_.Add(root.Mark(), "expected tools, checks or both");
    }
  }

 private:
  // A map from names to what `read` reads.
  template <typename Options, typename ReadOne>
  void ReadNamed(const YAML::Node& node, absl::string_view kind,
                 std::map<std::string, Options>& named, ReadOne read) {
    if (!node.IsMap()) {
      complaints_.Add(node.Mark(), absl::StrCat(kind,
                                                "s is no map; expected "
                                                "the name of a ",
                                                kind, " and its command"));
      return;
    }
    for (const auto& entry : node) {
      const std::string name =
          entry.first.IsScalar() ? entry.first.Scalar() : "";
      if (name.empty() || name.size() > 128 || Printable(name) != name) {
        complaints_.Add(entry.first.Mark(),
                        absl::StrCat("expected the name of a ", kind));
        continue;
      }
      if (!named.emplace(name, read(entry.second)).second) {
        complaints_.Add(entry.first.Mark(),
                        absl::StrCat(kind, " '", name, "' comes twice"));
      }
    }
  }

  ToolOptions ReadTool(const YAML::Node& node) {
    ToolOptions tool;
    ReadMap(node, "a tool's handler",
            {{"command",
              [&](const YAML::Node& n) { ReadCommand(n, tool.command); }},
             {"url", [&](const YAML::Node& n) { ReadUrl(n, tool); }},
             {"timeout",
              [&](const YAML::Node& n) { ReadTimeout(n, tool.timeout); }}},
            complaints_);
    if (node.IsMap() && tool.command.empty() == tool.url.empty()) {
      complaints_.Add(node.Mark(), "expected either a command or a url");
    }
    return tool;
  }

  CheckOptions ReadCheck(const YAML::Node& node) {
    CheckOptions check;
    ReadMap(
        node, "a check",
        {{"command",
          [&](const YAML::Node& n) { ReadCommand(n, check.command); }, true},
         {"timeout",
          [&](const YAML::Node& n) { ReadTimeout(n, check.timeout); }}},
        complaints_);
    return check;
  }

  void ReadCommand(const YAML::Node& node, std::vector<std::string>& command) {
    if (!IsList(node, "command", complaints_)) return;
    for (const YAML::Node& word : node) {
      if (auto text = ReadText(word, "a word of command", complaints_)) {
        command.push_back(*text);
      }
    }
    if (command.empty()) {
      complaints_.Add(node.Mark(), "command is empty; expected a program");
      return;
    }
    command[0] = (folder_ / command[0]).lexically_normal();
    if (access(command[0].c_str(), X_OK) != 0) {
      complaints_.Add(node.Mark(),
                      absl::StrCat(Printable(command[0]),
                                   " is no program that can be run"));
    }
  }

  void ReadUrl(const YAML::Node& node, ToolOptions& tool) {
    std::optional<std::string> text = ReadText(node, "url", complaints_);
    if (!text) return;
    if (absl::StartsWith(*text, "http://") ||
        absl::StartsWith(*text, "https://")) {
      tool.url = *text;
      return;
    }
    complaints_.Add(node.Mark(), absl::StrCat("url is '", Printable(*text),
                                              "'; expected http(s)://..."));
  }

  void ReadTimeout(const YAML::Node& node, absl::Duration& timeout) {
    std::optional<std::string> text = ReadText(node, "timeout", complaints_);
    if (!text) return;
    if (absl::ParseDuration(*text, &timeout) && timeout >= absl::Seconds(1) &&
        timeout <= absl::Hours(1)) {
      return;
    }
    complaints_.Add(node.Mark(),
                    absl::StrCat("timeout is '", Printable(*text),
                                 "'; expected a time such as 30s, up to 1h"));
  }

  const fs::path folder_;
  Complaints& complaints_;
};

}  // namespace

absl::StatusOr<ToolFile> LoadTools(const std::string& path) {
  ToolFile file;
  if (path.empty()) return file;
  ASSIGN_OR_RETURN(std::string text, ReadConfigFile(path, "a file of tools"));
  Complaints complaints(path);
  std::optional<YAML::Node> root =
      ParseYaml(text, absl::EndsWith(path, ".json"), complaints);
  if (root) {
    ToolReader(fs::absolute(path).parent_path(), complaints).Read(*root, file);
  }
  RETURN_IF_ERROR(complaints.ToStatus());
  return file;
}

}  // namespace midwatch::cli
