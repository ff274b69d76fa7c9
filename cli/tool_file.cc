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

  void Read(const YAML::Node& root, std::map<std::string, ToolOptions>& tools) {
    ReadMap(
        root, "a file of tools",
        {{"tools", [&](const YAML::Node& n) { ReadTools(n, tools); }, true}},
        complaints_);
  }

 private:
  void ReadTools(const YAML::Node& node,
                 std::map<std::string, ToolOptions>& tools) {
    if (!node.IsMap()) {
      complaints_.Add(node.Mark(), "tools is no map; expected name: handler");
      return;
    }
    for (const auto& entry : node) {
      const std::string name =
          entry.first.IsScalar() ? entry.first.Scalar() : "";
      if (name.empty() || name.size() > 128 || Printable(name) != name) {
        complaints_.Add(entry.first.Mark(), "expected the name of a tool");
        continue;
      }
      if (!tools.emplace(name, ReadTool(entry.second)).second) {
        complaints_.Add(entry.first.Mark(),
                        absl::StrCat("tool '", name, "' comes twice"));
      }
    }
  }

  ToolOptions ReadTool(const YAML::Node& node) {
    ToolOptions tool;
    ReadMap(node, "a tool's handler",
            {{"command", [&](const YAML::Node& n) { ReadCommand(n, tool); }},
             {"url", [&](const YAML::Node& n) { ReadUrl(n, tool); }},
             {"timeout", [&](const YAML::Node& n) { ReadTimeout(n, tool); }}},
            complaints_);
    if (node.IsMap() && tool.command.empty() == tool.url.empty()) {
      complaints_.Add(node.Mark(), "expected either a command or a url");
    }
    return tool;
  }

  void ReadCommand(const YAML::Node& node, ToolOptions& tool) {
    if (!IsList(node, "command", complaints_)) return;
    for (const YAML::Node& word : node) {
      if (auto text = ReadText(word, "a word of command", complaints_)) {
        tool.command.push_back(*text);
      }
    }
    if (tool.command.empty()) {
      complaints_.Add(node.Mark(), "command is empty; expected a program");
      return;
    }
    tool.command[0] = (folder_ / tool.command[0]).lexically_normal();
    if (access(tool.command[0].c_str(), X_OK) != 0) {
      complaints_.Add(node.Mark(), absl::StrCat(Printable(tool.command[0]),
                                                " is no program that can be "
                                                "run"));
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

  void ReadTimeout(const YAML::Node& node, ToolOptions& tool) {
    std::optional<std::string> text = ReadText(node, "timeout", complaints_);
    if (!text) return;
    if (absl::ParseDuration(*text, &tool.timeout) &&
        tool.timeout >= absl::Seconds(1) && tool.timeout <= absl::Hours(1)) {
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

absl::StatusOr<std::map<std::string, ToolOptions>> LoadTools(
    const std::string& path) {
  std::map<std::string, ToolOptions> tools;
  if (path.empty()) return tools;
  ASSIGN_OR_RETURN(std::string text, ReadConfigFile(path, "a file of tools"));
  Complaints complaints(path);
  std::optional<YAML::Node> root =
      ParseYaml(text, absl::EndsWith(path, ".json"), complaints);
  if (root) {
    ToolReader(fs::absolute(path).parent_path(), complaints).Read(*root, tools);
  }
  RETURN_IF_ERROR(complaints.ToStatus());
  return tools;
}

}  // namespace midwatch::cli
