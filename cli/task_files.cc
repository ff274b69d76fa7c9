#include "cli/task_files.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "cli/json_views.h"
#include "cli/spec_reader.h"
#include "cli/state_names.h"

namespace midwatch::cli {
namespace {

namespace fs = std::filesystem;

absl::Status MakeParent(const std::string& path) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  if (!error) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("cannot make the folder of ", path, ": ", error.message()));
}

// From an export before this one.
bool IsThere(const std::string& path, const v1::Output& output) {
  std::error_code error;
  if (static_cast<int64_t>(fs::file_size(path, error)) != output.size_bytes() ||
      error) {
    return false;
  }
  absl::StatusOr<std::string> sha256 = Sha256HexOfFile(path);
  return sha256.ok() && *sha256 == output.sha256();
}

}  // namespace

TaskFiles::TaskFiles(SchedulerConnection& scheduler, std::string folder,
                     bool events)
    : scheduler_(scheduler),
      folder_(std::move(folder)),
      partial_(absl::StrCat(folder_, "/.partial-", getpid())),
      events_(events) {}

// What was fetched in vain.
TaskFiles::~TaskFiles() { unlink(partial_.c_str()); }

absl::Status TaskFiles::Write(const v1::Task& task) {
  const std::string base =
      absl::StrCat(folder_, "/", task.batch_id(), "/", FileNameOf(task.name()));
  for (const v1::Output& output : task.outputs()) {
    RETURN_IF_ERROR(missing_.Take(
        task, output, WriteOutput(output, absl::StrCat(base, "/outputs/"))));
  }
  if (!events_) return absl::OkStatus();
  for (const v1::Attempt& attempt : task.attempt_list()) {
    const std::string path =
        absl::StrCat(base, "/attempt-", attempt.number(), ".jsonl");
    // Once it is over, nothing is added.
    if (IsFinal(task.state()) && fs::exists(path)) continue;
    RETURN_IF_ERROR(WriteEvents(task, attempt.number(), path));
  }
  return absl::OkStatus();
}

absl::Status TaskFiles::WriteOutput(const v1::Output& output,
                                    const std::string& folder) {
  // The agent chose the path: it shall not lead anywhere else.
  if (!IsPathBelow(output.path())) {
    return absl::DataLossError("it has no path below its folder");
  }
  const std::string path = folder + output.path();
  if (IsThere(path, output)) return absl::OkStatus();
  RETURN_IF_ERROR(MakeParent(path));
  RETURN_IF_ERROR(scheduler_.Download(output.sha256(), partial_));
  return Rename(path);
}

absl::Status TaskFiles::WriteEvents(const v1::Task& task, int attempt,
                                    const std::string& path) {
  RETURN_IF_ERROR(MakeParent(path));
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      std::fopen(partial_.c_str(), "wb"), std::fclose);
  if (file == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", partial_));
  }
  v1::ListTaskEventsRequest request;
  request.set_task_id(task.task_id());
  request.set_attempt(attempt);
  bool any = false;
  do {
    ASSIGN_OR_RETURN(v1::ListTaskEventsResponse page,
                     scheduler_.ListTaskEvents(request));
    for (const v1::TaskEvent& event : page.events()) {
      const std::string line = EventLine(event.json()) + "\n";
      std::fwrite(line.data(), 1, line.size(), file.get());
      any = true;
    }
    request.set_from_sequence(page.next_sequence());
  } while (request.from_sequence() > 0);
  const bool written = std::ferror(file.get()) == 0;
  if (std::fclose(file.release()) != 0 || !written) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
  }
  return any ? Rename(path) : absl::OkStatus();
}

absl::Status TaskFiles::Rename(const std::string& path) {
  if (std::rename(partial_.c_str(), path.c_str()) == 0) return absl::OkStatus();
  // No code of errno's: that a folder is gone from here does not mean that the
  // scheduler lacks the file.
  return absl::FailedPreconditionError(
      absl::StrCat("cannot write ", path, ": ", std::strerror(errno)));
}

}  // namespace midwatch::cli
