#include "cli/export.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "cli/counts.h"
#include "cli/spec_reader.h"
#include "cli/state_names.h"
#include "cli/task_views.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFileNameBytesMax = 200;
constexpr size_t kExamplesMax = 3;
constexpr size_t kMissingMax = 10;

// A file that is renamed to its name once it is whole.
class NewFile {
 public:
  explicit NewFile(const std::string& path)
      : path_(path),
        partial_(path + ".partial"),
        file_(std::fopen(partial_.c_str(), "wb"), std::fclose) {}

  absl::StatusOr<std::FILE*> Get() {
    if (file_ != nullptr) return file_.get();
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", partial_));
  }
  absl::Status Commit() {
    const bool written = std::ferror(file_.get()) == 0;
    if (std::fclose(file_.release()) != 0 || !written ||
        std::rename(partial_.c_str(), path_.c_str()) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
    }
    return absl::OkStatus();
  }

 private:
  const std::string path_;
  const std::string partial_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
};

absl::Status MakeFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("cannot make ", folder.string(), ": ", error.message()));
}

absl::Status WriteLine(const v1::Task& task, std::FILE* out) {
  const std::string line = ToLine(ToJson(task)) + "\n";
  if (std::fwrite(line.data(), 1, line.size(), out) == line.size()) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(errno, "cannot write the results");
}

absl::Status WriteOutput(SchedulerConnection& scheduler,
                         const v1::Output& output, const fs::path& folder) {
  // The agent chose the path: it shall not lead anywhere else.
  if (!IsPathBelow(output.path())) {
    return absl::DataLossError("it has no path below its folder");
  }
  const fs::path path = folder / output.path();
  RETURN_IF_ERROR(MakeFolder(path.parent_path()));
  const std::string partial =
      absl::StrCat((folder / ".partial-").string(), getpid());
  absl::Status status = scheduler.Download(output.sha256(), partial);
  if (status.ok() && std::rename(partial.c_str(), path.c_str()) != 0) {
    status = absl::FailedPreconditionError(absl::StrCat(
        "cannot write ", path.string(), ": ", std::strerror(errno)));
  }
  if (!status.ok()) unlink(partial.c_str());
  return status;
}

// What `task answer` takes for what the task asks first.
std::string AnswerTo(const v1::Task& task) {
  if (task.questions_size() == 0) return "";
  const v1::Question& first = task.questions(0);
  if (first.has_spent_usd_micros()) return "--raise AMOUNT";
  return first.wants_result() ? "--result TEXT" : "--approve  (or --deny WHY)";
}

void Count(const v1::Task& task, Outcome& outcome) {
  outcome.attempts += task.attempts();
  if (task.state() == v1::TASK_STATE_SUCCEEDED ||
      task.state() == v1::TASK_STATE_QUEUED ||
      task.state() == v1::TASK_STATE_BLOCKED) {
    return;
  }
  if (task.state() == v1::TASK_STATE_WAITING) {
    constexpr size_t kWaitingMax = 10;
    if (outcome.waiting.size() < kWaitingMax) {
      outcome.waiting.push_back({task.task_id(), Printable(task.name()),
                                 ResultLine(task), AnswerTo(task)});
    }
    return;
  }
  std::string why = ResultLine(task);
  if (why == NameOf(task.state())) why.clear();
  const bool failed = task.state() == v1::TASK_STATE_FAILED &&
                      task.failure_class() != v1::FAILURE_CLASS_UNSPECIFIED;
  const size_t place = outcome.failures.size();
  Outcome::Failures& group = outcome.failures[{
      failed ? NameOf(task.failure_class()) : NameOf(task.state()), why}];
  if (++group.count == 1) {
    group.place = place;
    group.task_id = task.task_id();
    group.look = task.session_id().empty() ? "get" : "logs";
    group.state = task.state();
  }
  if (group.examples.size() < kExamplesMax) {
    group.examples.push_back(Printable(task.name()));
  }
}

}  // namespace

std::string FileNameOf(const std::string& name) {
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (c == '/' || c == '%' || (c == '.' && i == 0)) {
      absl::StrAppendFormat(&out, "%%%02X", c);
    } else {
      out += c;
    }
  }
  if (out.size() <= kFileNameBytesMax) return out;
  return absl::StrCat(out.substr(0, kFileNameBytesMax), "-",
                      Sha256Hex(name).substr(0, 12));
}

absl::Status MissingFiles::Take(const v1::Task& task, const v1::Output& output,
                                const absl::Status& why) {
  if (!absl::IsNotFound(why) && !absl::IsDataLoss(why)) return why;
  if (++count <= static_cast<int64_t>(kMissingMax)) {
    first.push_back(absl::StrCat(
        "task ", Printable(task.name()), " (", task.task_id(), "), ",
        Printable(output.path()), ": ", Printable(why.message())));
  }
  return absl::OkStatus();
}

ExitCode TellMissing(const MissingFiles& missing) {
  if (missing.count == 0) return kExitSucceeded;
  std::fprintf(stderr, "midwatch: %s cannot be had; everything else is there\n",
               CountOf(missing.count, "output file").c_str());
  for (const std::string& file : missing.first) {
    std::fprintf(stderr, "midwatch: %s\n", file.c_str());
  }
  const int64_t more =
      missing.count - static_cast<int64_t>(missing.first.size());
  if (more > 0) {
    std::fprintf(stderr, "midwatch: and %s\n", CountOf(more, "other").c_str());
  }
  return kExitFailed;
}

absl::Status PrepareFolder(const std::string& folder) {
  RETURN_IF_ERROR(MakeFolder(folder));
  if (access(folder.c_str(), W_OK | X_OK) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("cannot write to ", folder, ": ", std::strerror(errno)));
}

Json ToJson(const Outcome& outcome) {
  std::vector<const decltype(outcome.failures)::value_type*> groups;
  for (const auto& each : outcome.failures) groups.push_back(&each);
  std::sort(groups.begin(), groups.end(), [](const auto* a, const auto* b) {
    return a->second.place < b->second.place;
  });
  Json failures = Json::array();
  for (const auto* each : groups) {
    failures.push_back({{"cause", each->first.first},
                        {"reason", each->first.second},
                        {"count", each->second.count},
                        {"examples", each->second.examples}});
  }
  return failures;
}

absl::Status ForEachFullTask(
    SchedulerConnection& scheduler, const std::string& batch_id,
    absl::FunctionRef<absl::Status(const v1::Task&)> visit) {
  v1::ListTasksRequest filter;
  filter.set_batch_id(batch_id);
  return scheduler.ForEachTask(
      filter, [&](const v1::Task& task) -> absl::Status {
        // A list leaves the attempts out.
        ASSIGN_OR_RETURN(v1::Task full, scheduler.GetTask(task.task_id()));
        return visit(full);
      });
}

absl::Status ExportTasks(
    SchedulerConnection& scheduler, const std::vector<std::string>& batch_ids,
    std::FILE* out, absl::FunctionRef<absl::Status(const v1::Task&)> also) {
  auto write = [&](const v1::Task& task) -> absl::Status {
    RETURN_IF_ERROR(also(task));
    return WriteLine(task, out);
  };
  for (const std::string& batch_id : batch_ids) {
    RETURN_IF_ERROR(ForEachFullTask(scheduler, batch_id, write));
  }
  return absl::OkStatus();
}

absl::Status ExportTasksToFile(
    SchedulerConnection& scheduler, const std::vector<std::string>& batch_ids,
    const std::string& path,
    absl::FunctionRef<absl::Status(const v1::Task&)> also) {
  NewFile file(path);
  ASSIGN_OR_RETURN(std::FILE * out, file.Get());
  RETURN_IF_ERROR(ExportTasks(scheduler, batch_ids, out, also));
  return file.Commit();
}

absl::StatusOr<std::vector<std::string>> WriteOutputs(
    SchedulerConnection& scheduler, const v1::Task& task,
    const std::string& folder, MissingFiles& missing) {
  std::vector<std::string> written;
  for (const v1::Output& output : task.outputs()) {
    const absl::Status status =
        WriteOutput(scheduler, output, fs::path(folder));
    RETURN_IF_ERROR(missing.Take(task, output, status));
    if (status.ok()) {
      written.push_back(absl::StrCat(folder, "/", output.path()));
    }
  }
  return written;
}

absl::StatusOr<Outcome> WriteResults(SchedulerConnection& scheduler,
                                     const std::string& batch_id,
                                     const std::string& folder) {
  RETURN_IF_ERROR(MakeFolder(folder));
  NewFile file(folder + "/results.jsonl");
  ASSIGN_OR_RETURN(std::FILE * out, file.Get());
  Outcome outcome;
  auto write = [&](const v1::Task& task) -> absl::Status {
    Count(task, outcome);
    RETURN_IF_ERROR(WriteLine(task, out));
    return WriteOutputs(
               scheduler, task,
               absl::StrCat(folder, "/outputs/", FileNameOf(task.name())),
               outcome.missing)
        .status();
  };
  RETURN_IF_ERROR(ForEachFullTask(scheduler, batch_id, write));
  RETURN_IF_ERROR(file.Commit());
  return outcome;
}

absl::StatusOr<Outcome> FindFailures(SchedulerConnection& scheduler,
                                     const std::string& batch_id) {
  Outcome outcome;
  RETURN_IF_ERROR(scheduler.ForEachTask(
      batch_id,
      {v1::TASK_STATE_FAILED, v1::TASK_STATE_CANCELLED, v1::TASK_STATE_SKIPPED},
      [&](const v1::Task& task) {
        Count(task, outcome);
        return absl::OkStatus();
      }));
  outcome.attempts = 0;  // others had theirs too
  return outcome;
}

}  // namespace midwatch::cli
