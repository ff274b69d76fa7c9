// `midwatch init`.
#include <cstdio>
#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/batch_schema.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/shell_words.h"
#include "cli/whole_file.h"

namespace midwatch::cli {
namespace {

constexpr char kSchemaName[] = "batch.schema.json";

constexpr char kFirstBatch[] =
    R"yaml(# yaml-language-server: $schema=batch.schema.json
#
# A batch: tasks that share their defaults. Each task is a session of an agent.
#
#   midwatch run batch.yaml              # to its end, all in one process
#   midwatch run batch.yaml --dry-run    # only check it, and tell what it may cost
#   midwatch submit batch.yaml           # to a scheduler
name: first-batch

# {{name}} in any text stands for the value; `--param greeting=Servus` replaces it.
params:
  # "runbook" runs the shell blocks of the prompt and is no language model: it
  # needs no key and no network. With ANTHROPIC_API_KEY set, a real one is
  # --param model=claude-haiku-5-5, and the prompt may be any text.
  model: runbook
  greeting: Hello

# max_running: 4    # tasks at once; else as many as the machine and service allow
# budget: $5        # what all tasks may cost together

defaults:
  agent:
    name: first-agent
    model: "{{model}}"
    system: You run the given commands as they are and report what they print.
    tools:
      - type: agent_toolset_20260401
        default_config: {enabled: true, permission_policy: {type: always_allow}}
  environment:
    name: offline
    config: {type: cloud, networking: {type: limited}}
  max_cost: $0.25    # of one task, with all its attempts
  timeouts: {start: 5m, idle: 5m, total: 15m}
  # A task has succeeded once its session is done and these are in
  # /mnt/session/outputs/. They end up in the results folder.
  expect: {files: [greeting.txt]}
  prompt: |
    Write a greeting to {{who}}.

    ```sh
    mkdir -p /mnt/session/outputs
    echo "{{greeting}}, {{who}}!" | tee /mnt/session/outputs/greeting.txt
    ```

# The tasks. What the prompt asks for ({{who}}) is among each one's parameters.
# inputs: [{path: notes.txt, mount: notes.txt}] gives a task a file, which it sees
# in /mnt/session/uploads/.
tasks:
  - name: earth
    parameters: {who: Earth}
  - name: moon
    parameters: {who: Moon}

# Tasks can also be made from files, or from the rows of a table:
#
# foreach:
#   glob: docs/*.txt    # or  csv: people.csv  or  jsonl: people.jsonl
#   name: "{{stem}}"    # of a table: "{{column}}"
#   parameters: {who: "{{basename}}"}
#   inputs: [{path: "{{path}}", mount: document.txt}]
)yaml";

absl::Status WriteFiles(const InitOptions& options) {
  if (!absl::EndsWith(options.file, ".yaml") &&
      !absl::EndsWith(options.file, ".yml")) {
    return absl::InvalidArgumentError(absl::StrCat(
        options.file, " is no name for it; expected one that ends in .yaml"));
  }
  const std::string schema =
      (std::filesystem::path(options.file).parent_path() / kSchemaName)
          .string();
  absl::Status written =
      WriteWholeFile(options.file, kFirstBatch, options.force);
  if (absl::IsAlreadyExists(written)) {
    return absl::AlreadyExistsError(
        absl::StrCat(options.file, " is there; --force replaces it"));
  }
  RETURN_IF_ERROR(written);
  // One that is there serves, too.
  written = WriteWholeFile(schema, kBatchSchema, options.force);
  return absl::IsAlreadyExists(written) ? absl::OkStatus() : written;
}

}  // namespace

int Init(const GlobalOptions& global, const InitOptions& options) {
  if (options.file == "-") {
    std::fputs(kFirstBatch, stdout);
    return kExitSucceeded;
  }
  absl::Status written = WriteFiles(options);
  if (!written.ok()) return Report(written);
  std::printf("%s is written; to run it: %s run %s\n", options.file.c_str(),
              Quoted(global.program).c_str(), Quoted(options.file).c_str());
  return kExitSucceeded;
}

}  // namespace midwatch::cli
