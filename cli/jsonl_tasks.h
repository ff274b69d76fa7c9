#ifndef MIDWATCH_CLI_JSONL_TASKS_H_
#define MIDWATCH_CLI_JSONL_TASKS_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/input_files.h"
#include "cli/json_text.h"
#include "cli/line_file.h"
#include "cli/spec_reader.h"
#include "cli/task_stream.h"
#include "cli/template_text.h"
#include "cli/yaml_reader.h"

namespace midwatch::cli {

// The tasks of a JSONL batch, one in each line behind the first:
//
//   {"name": "...", "parameters": {...}, "inputs": [...], "labels": {...},
//    "needs": "all", or a name, or {"task": ID}, or [...], "on_need_failure":
//    "...", "priority": 9, "max_cost": "$5", "retry": {...}, ...}
//
// All but the name may be left out. What a task needs stands before it. They
// are data, in which {{...}} is text, but for what is read as in defaults: its
// prompt, expect, retry and timeouts. What stays in memory is a chunk of them,
// and the path and hash of each input.
class JsonlTasks final : public TaskStream {
 public:
  // `file` has given its first line, which made `params` and `spec`.
  JsonlTasks(std::unique_ptr<LineFile> file, Values params, SpecWithTexts spec);

  // Reads all lines and all inputs, once, before anything else. Complains of
  // everything that the scheduler would refuse; calls `visit` with each task.
  //   kInvalidArgument    a line is too long, the file cannot be read
  //   kFailedPrecondition  there is no room for a temporary file
  //   kAborted             the file was changed meanwhile
  absl::Status Check(Complaints& complaints,
                     absl::FunctionRef<void(const v1::TaskLine&)> visit);
  const InputFiles& inputs() const { return inputs_; }

  int64_t count() const override { return count_; }
  absl::StatusOr<std::vector<v1::TaskLine>> Read(int64_t first,
                                                 size_t tasks_max,
                                                 size_t bytes_max) override;

 private:
  // How long a text of a spec is but for its parameters.
  struct TextBytes {
    TaskText text;
    size_t own_bytes = 0;
  };
  // Of what a task has in place of defaults.
  struct OwnTexts {
    std::optional<TextBytes> prompt;
    std::optional<std::vector<TextBytes>> files;
    std::optional<YAML::Mark> max_cost_mark;
  };
  static TextBytes Measure(TaskText text);

  // The task in the line that the file gave last; complaints tell whether it
  // is one.
  v1::TaskLine ReadTask(absl::string_view line, Complaints& complaints);
  std::string ReadValue(const JsonValue& value, absl::string_view what,
                        Complaints& complaints);
  void ReadParameters(const JsonValue& value, v1::TaskLine& task,
                      Complaints& complaints);
  void ReadLabels(const JsonValue& value, v1::TaskLine& task,
                  Complaints& complaints);
  // delay, start_after or expires_after.
  void ReadStart(const JsonMember& member, v1::TaskLine& task,
                 Complaints& complaints);
  // jsonl_own.cc
  static bool IsOwnKey(absl::string_view name);
  void ReadOwn(absl::string_view line, const JsonMember& member,
               v1::TaskLine& task, OwnTexts& own, Complaints& complaints);
  void ReadOwnPart(absl::string_view line, const JsonMember& member,
                   v1::TaskLine& task, OwnTexts& own, Complaints& complaints);
  void ReadInputs(const JsonValue& value, v1::TaskLine& task,
                  Complaints& complaints);
  void ReadInput(const JsonValue& value, v1::TaskLine& task,
                 Complaints& complaints);
  // jsonl_needs.cc
  void ReadNeeds(const JsonValue& value, v1::TaskLine& task,
                 Complaints& complaints);
  void ReadNeed(const JsonValue& value, v1::TaskLine& task,
                Complaints& complaints);
  void ReadPolicy(const JsonValue& value, v1::TaskLine& task,
                  Complaints& complaints);
  // Once the whole task is read.
  void CheckNeeds(const JsonValue& value, const v1::TaskLine& task,
                  Complaints& complaints);
  // jsonl_own.cc
  void CheckAgainstSpec(const v1::TaskLine& task, const OwnTexts& own,
                        Complaints& complaints);
  // False where it lacks a parameter, which is complained of.
  bool CheckText(const TextBytes& asked, bool is_prompt,
                 const v1::TaskLine& task, Complaints& complaints);
  // Complains of names, by their hashes: at their second place, and where they
  // are needed before they come.
  absl::Status ComplainOfNames(const std::vector<uint64_t>& hashes,
                               Complaints& complaints);

  const std::unique_ptr<LineFile> file_;
  const std::filesystem::path folder_;
  const Values params_;
  const v1::TaskSpec spec_;
  TextBytes prompt_;
  std::vector<TextBytes> files_, others_;
  InputFiles inputs_;
  int64_t count_ = 0;
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_JSONL_TASKS_H_
