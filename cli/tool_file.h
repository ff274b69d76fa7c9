#ifndef MIDWATCH_CLI_TOOL_FILE_H_
#define MIDWATCH_CLI_TOOL_FILE_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "node/worker_node.h"

namespace midwatch::cli {

// What a worker runs of its own, by name.
struct ToolFile {
  std::map<std::string, ToolOptions> tools;    // custom tools' handlers
  std::map<std::string, CheckOptions> checks;  // that `expect.check` names
};

// What the file at `path` names; nothing where `path` is empty. YAML or JSON,
// with one of the two at least:
//
//   tools:
//     lookup: {command: [./lookup.py, --fast], timeout: 30s}
//     search: {url: "http://127.0.0.1:9000/search"}
//   checks:
//     compiles: {command: [./compiles.sh], timeout: 10m}
//
// A command's path is from the file's folder on. Timeouts are a second to an
// hour; a minute of a tool and five of a check where there is none.
//   kInvalidArgument  every complaint, with its line and column
absl::StatusOr<ToolFile> LoadTools(const std::string& path);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_TOOL_FILE_H_
