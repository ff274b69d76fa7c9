#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "worker/attempt.h"
#include "worker/output_path.h"

namespace midwatch {
namespace {

// Files appear some seconds after the session went idle.
constexpr absl::Duration kListEvery = absl::Seconds(2);
constexpr absl::Duration kListLimit = absl::Seconds(30);
constexpr size_t kOutputsMax = 1000;
constexpr size_t kFinalMessageBytesMax = 16 << 10;
// Of an output that comes by way of memory: no file is made where its bytes are
// stored already.
constexpr int64_t kHeldBytesMax = 256 << 10;

std::set<std::string> PathsOf(const std::vector<RemoteFile>& files) {
  std::set<std::string> paths;
  for (const RemoteFile& file : files) {
    std::optional<std::string> path = OutputPath(file.filename);
    if (path && file.downloadable) paths.insert(*path);
  }
  return paths;
}

// The first of the expected paths that is not among `paths`, or "".
std::string FirstMissing(const v1::Expectation& expect,
                         const std::set<std::string>& paths) {
  for (const std::string& file : expect.files()) {
    std::optional<std::string> path = OutputPath(file);
    if (!path || !paths.contains(*path)) return file;
  }
  return "";
}

}  // namespace

Async<absl::StatusOr<std::vector<RemoteFile>>> Attempt::ListOutputs(
    bool expecting) {
  const v1::Expectation& expect = lease_.spec().expect();
  absl::Duration until = parts_.clock.Steady() + kListLimit;
  std::optional<std::set<std::string>> before;
  while (true) {
    // An answer may be long on its way: it tells of the time of its question.
    const absl::Duration asked = parts_.clock.Steady();
    absl::StatusOr<std::vector<RemoteFile>> files =
        co_await parts_.agents.ListSessionFiles(session_id_);
    if (!files.ok()) {
      v1::Failure failure = ToFailure(files.status(), "list_files");
      CO_ASSIGN_OR_RETURN(bool again, co_await TryAgain(failure));
      if (!again) co_return files.status();
      continue;
    }
    std::set<std::string> paths = PathsOf(*files);
    // What is expected is of a turn that ended well: another leaves what it
    // has.
    const bool wanted = expecting && !expect.files().empty();
    bool all_there = !wanted || FirstMissing(expect, paths).empty();
    bool settled = all_there && (wanted || before == paths);
    if (settled || asked >= until) co_return files;
    before = std::move(paths);
    CO_RETURN_IF_ERROR(co_await Wait(kListEvery));
  }
}

Async<absl::StatusOr<v1::Output>> Attempt::StoreOutput(RemoteFile file) {
  // What is larger than was said goes to a file the next time.
  bool hold = file.size_bytes <= kHeldBytesMax;
  while (true) {
    absl::Status status;
    absl::StatusOr<ArtifactRef> stored;
    if (std::exchange(hold, false)) {
      absl::StatusOr<std::string> bytes =
          co_await parts_.agents.ReadFileBytes(file.id);
      status = bytes.status();
      if (bytes.ok()) {
        stored = co_await parts_.artifacts.PutBytes(*std::move(bytes));
      }
    } else {
      std::string scratch = parts_.artifacts.ScratchPath();
      status = co_await parts_.agents.DownloadFile(file.id, scratch);
      if (status.ok()) {
        stored = co_await parts_.artifacts.PutFile(scratch);
      } else {
        std::error_code ignored;
        std::filesystem::remove(scratch, ignored);
      }
    }
    if (status.ok()) {
      CO_RETURN_IF_ERROR(stored.status());
      FaultPoint("worker.output.after");
      v1::Output output;
      output.set_path(*OutputPath(file.filename));
      output.set_sha256(stored->sha256);
      output.set_size_bytes(stored->size_bytes);
      co_return output;
    }
    v1::Failure failure = ToFailure(status, "download_file");
    CO_ASSIGN_OR_RETURN(bool again, co_await TryAgain(failure));
    if (!again) co_return status;
  }
}

Async<absl::Status> Attempt::CollectOutputs(v1::Ending& ending) {
  CO_ASSIGN_OR_RETURN(
      std::vector<RemoteFile> files,
      co_await ListOutputs(ending.stop_reason() == "end_turn" && !cancelling_));
  std::set<std::string> taken;
  for (RemoteFile& file : files) {
    std::optional<std::string> path = OutputPath(file.filename);
    if (!path) {
      LogWarning("output skipped: its name is no relative path",
                 {{"task", token().task_id()},
                  {"attempt", token().attempt()},
                  {"file", file.id}});
    }
    // The newest comes first: an older file of the same name was overwritten.
    if (!path || !file.downloadable || taken.size() >= kOutputsMax ||
        !taken.insert(*path).second) {
      continue;
    }
    CO_ASSIGN_OR_RETURN(*ending.add_outputs(),
                        co_await StoreOutput(std::move(file)));
  }
  if (ending.stop_reason() != "end_turn" || cancelling_) {
    co_return absl::OkStatus();
  }
  std::string missing = FirstMissing(lease_.spec().expect(), taken);
  if (!missing.empty()) {
    ending.set_kind(v1::Ending::KIND_OUTPUT_MISSING);
    ending.set_missing_output(missing);
  }
  co_return absl::OkStatus();
}

Async<absl::Status> Attempt::StoreFinalMessage(v1::Ending& ending) {
  const std::string& whole = transcript_.state().last_message;
  if (whole.size() <= kFinalMessageBytesMax) {
    ending.set_final_message(whole);
    co_return absl::OkStatus();
  }
  CO_ASSIGN_OR_RETURN(ArtifactRef stored,
                      co_await parts_.artifacts.PutBytes(whole));
  ending.set_final_message(std::string(CutUtf8(whole, kFinalMessageBytesMax)));
  ending.set_final_message_sha256(stored.sha256);
  co_return absl::OkStatus();
}

std::optional<std::string> OutputPath(absl::string_view filename) {
  absl::string_view path = absl::StripPrefix(filename, "/mnt/session/outputs/");
  if (path.empty() || path.size() > 1024) return std::nullopt;
  for (absl::string_view segment : absl::StrSplit(path, '/')) {
    if (segment.empty() || segment == "." || segment == "..") {
      return std::nullopt;
    }
  }
  for (unsigned char c : path) {
    if (c < 0x20 || c == 0x7f) return std::nullopt;
  }
  return std::string(path);
}

}  // namespace midwatch
