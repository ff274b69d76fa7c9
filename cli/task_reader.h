// The tasks of a batch file: one by one, or made from the files that a glob
// matches or from the rows of a table.
#ifndef MIDWATCH_CLI_TASK_READER_H_
#define MIDWATCH_CLI_TASK_READER_H_

#include <filesystem>
#include <map>
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

  // What was read. Names are unique; the content of every input is known.
  const std::vector<v1::TaskLine>& lines() const { return lines_; }
  std::vector<v1::TaskLine> TakeLines() { return std::move(lines_); }
  const std::map<std::string, std::string>& input_paths() const {
    return inputs_.paths();
  }
  int64_t input_bytes() const { return inputs_.bytes(); }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  // A task as the file describes it, before anything is filled in.
  struct Form {
    struct Input {
      YAML::Node path;
      YAML::Node mount;
    };
    YAML::Node name;
    bool has_parameters = false;  // the key is there
    std::vector<std::pair<std::string, YAML::Node>> parameters, labels;
    std::vector<Input> inputs;
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
  std::vector<v1::TaskLine> lines_;
  std::vector<std::string> notes_;
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_TASK_READER_H_
