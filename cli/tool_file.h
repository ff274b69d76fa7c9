#ifndef MIDWATCH_CLI_TOOL_FILE_H_
#define MIDWATCH_CLI_TOOL_FILE_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "node/worker_node.h"

namespace midwatch::cli {

// The handlers of custom tools that the file at `path` names; none where `path`
// is empty. YAML or JSON:
//
//   tools:
//     lookup: {command: [./lookup.py, --fast], timeout: 30s}
//     search: {url: "http://127.0.0.1:9000/search"}
//
// A command's path is from the file's folder on. Timeouts are a second to an
// hour, a minute where there is none.
//   kInvalidArgument  every complaint, with its line and column
absl::StatusOr<std::map<std::string, ToolOptions>> LoadTools(
    const std::string& path);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_TOOL_FILE_H_
