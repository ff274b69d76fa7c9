// The tasks of a batch file: one by one, or made from the files that a glob
// matches or from the rows of a table.
#ifndef MIDWATCH_CLI_TASK_READER_H_
#define MIDWATCH_CLI_TASK_READER_H_

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/input_files.h"
#include "cli/spec_reader.h"
#include "cli/template_text.h"
#include "cli/yaml_reader.h"
#include "midwatch/v1/task.pb.h"

namespace midwatch::cli {

// {{...}} that describe the file at `path`, the index-th match.
Values DescribeMatch(const std::string& path, int64_t index);

// A name that DescribeMatch gives a value.
bool IsMatchName(absl::string_view name);

// One task of the file.
struct PlannedTask {
  v1::TaskLine line;
  YAML::Mark mark;                          // of its name
  YAML::Mark needs_mark;                    // of its needs, where it has any
  std::optional<YAML::Mark> max_cost_mark;  // where it has one of its own
  // What it has of its own; of those of one foreach the same. Unset: nothing.
  std::shared_ptr<const OwnSpec> own;
};

// Everything named at construction outlives the reader.
class TaskReader {
 public:
  // Relative paths begin at `folder`.
  TaskReader(std::filesystem::path folder, const Values& params,
             SpecReader& spec_reader, Complaints& complaints)
      : folder_(std::move(folder)),
        params_(params),
        spec_reader_(spec_reader),
        complaints_(complaints) {}

  void ReadTasks(const YAML::Node& node);
  void ReadForeach(const YAML::Node& node);
  // To be called when all is read: puts each task behind those that it needs.
  // Complains of needs that are no tasks of the file, and of circles.
  void OrderTasks();

  // What was read. Names are unique; the content of every input is known, but
  // of those that other tasks leave.
  const std::vector<PlannedTask>& tasks() const { return tasks_; }
  std::vector<v1::TaskLine> TakeLines();
  const std::map<std::string, std::string>& input_paths() const {
    return inputs_.paths();
  }
  int64_t input_bytes() const { return inputs_.bytes(); }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  // A task as the file describes it, before anything is filled in.
  struct Form {
    struct Input {
      std::optional<YAML::Node> path, from;
      YAML::Node mount;
    };
    struct Need {
      YAML::Node name;
      bool is_id = false;
    };
    YAML::Node name;
    bool has_parameters = false;  // the key is there
    std::vector<std::pair<std::string, YAML::Node>> parameters, labels;
    std::vector<Input> inputs;
    std::vector<Need> needs;
    bool needs_all = false;
    YAML::Mark needs_mark;
    v1::NeedPolicy on_need_failure = v1::NEED_POLICY_UNSPECIFIED;
    std::optional<YAML::Node> priority, max_cost;
    std::shared_ptr<OwnSpec> own = std::make_shared<OwnSpec>();
  };

  // What `foreach` goes over: the pattern of a glob, or the path of a table.
  struct Source {
    std::string kind;  // "glob", "csv", "jsonl"
    std::string path;
    YAML::Mark mark;
  };

  std::optional<Form> ReadForm(const YAML::Node& node, absl::string_view what,
                               const std::vector<YamlKey>& more_keys);
  void ReadParameters(const YAML::Node& node, Form& form);
  void ReadInputs(const YAML::Node& node, Form& form);
  // task_needs.cc
  void ReadNeeds(const YAML::Node& node, Form& form);
  void ReadNeed(const YAML::Node& node, Form& form);
  void ReadNeedPolicy(const YAML::Node& node, Form& form);
  void AddNeeds(const Form& form, const Values& values, v1::TaskLine& line);
  void AddInputFrom(const Form::Input& form, const Values& values,
                    const std::string& mount, v1::TaskLine& line);
  void ComplainOfCircle(const std::vector<size_t>& circle);
  // Complains once of {{...}} without a value, rather than for each match.
  bool CanFillIn(const Form& form, const Values& values);
  std::optional<std::string> Fill(const YAML::Node& node, const Values& values,
                                  absl::string_view what);
  // `columns`: parameters beside the form's.
  void AddTask(const Form& form, const Values& values, const Values& columns);
  void AddMatches(const Form& form, const Source& source, int64_t limit);
  void AddRows(const Form& form, const Source& source, int64_t limit);
  void AddInput(const Form::Input& form, const Values& values,
                v1::TaskLine& line);
  // Its priority and its max_cost.
  void AddLimits(const Form& form, const Values& values, v1::TaskLine& line);

  const std::filesystem::path folder_;
  const Values& params_;
  SpecReader& spec_reader_;
  Complaints& complaints_;
  InputFiles inputs_;
  // Of the batch file, or of the table with a minus before it.
  std::map<std::string, int> lines_of_names_;
  // Where values come from, for complaints: the row under way (" (FILE:3)"),
  // and what there is beside params.
  std::string row_, beside_params_;
  std::string table_;
  int row_line_ = 0;
  std::vector<PlannedTask> tasks_;
  std::vector<std::string> notes_;
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_TASK_READER_H_
