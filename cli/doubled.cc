#include "cli/doubled.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <queue>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace midwatch::cli {
namespace {

constexpr size_t kReadNumbers = 8192;

absl::Status FileError() {
  return absl::FailedPreconditionError(
      absl::StrCat("cannot keep a temporary file (", std::strerror(errno),
                   "); it holds eight bytes for each task of a large file"));
}

// A sorted run of numbers in the file, read in pieces.
struct Run {
  int64_t next = 0, end = 0;  // in numbers
  std::vector<uint64_t> read;
  size_t at = 0;

  // False behind the last.
  absl::StatusOr<bool> Take(int fd, uint64_t& number) {
    if (at == read.size()) {
      if (next == end) return false;
      read.resize(
          static_cast<size_t>(std::min<int64_t>(end - next, kReadNumbers)));
      at = 0;
      const size_t bytes = read.size() * sizeof(uint64_t);
      const off_t offset = next * static_cast<int64_t>(sizeof(uint64_t));
      if (pread(fd, read.data(), bytes, offset) !=
          static_cast<ssize_t>(bytes)) {
        return FileError();
      }
      next += static_cast<int64_t>(read.size());
    }
    number = read[at++];
    return true;
  }
};

}  // namespace

absl::Status Doubled::Add(uint64_t number) {
  held_.push_back(number);
  return held_.size() < held_max_ ? absl::OkStatus() : PutAway();
}

absl::Status Doubled::PutAway() {
  if (file_ == nullptr) file_.reset(std::tmpfile());
  if (file_ == nullptr) return FileError();
  std::sort(held_.begin(), held_.end());
  if (std::fwrite(held_.data(), sizeof(uint64_t), held_.size(), file_.get()) !=
          held_.size() ||
      std::fflush(file_.get()) != 0) {
    return FileError();
  }
  runs_.push_back(held_.size());
  held_.clear();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint64_t>> Doubled::Find(size_t max) {
  std::sort(held_.begin(), held_.end());
  std::vector<Run> runs;
  int64_t begin = 0;
  for (size_t numbers : runs_) {
    Run& run = runs.emplace_back();
    run.next = begin;
    begin += static_cast<int64_t>(numbers);
    run.end = begin;
  }
  // What is held still is one more run, read already.
  runs.emplace_back().read = std::move(held_);

  const int fd = file_ == nullptr ? -1 : fileno(file_.get());
  using Head = std::pair<uint64_t, size_t>;  // a number, and its run
  std::priority_queue<Head, std::vector<Head>, std::greater<Head>> heads;
  auto take = [&](size_t run) -> absl::Status {
    uint64_t number = 0;
    ASSIGN_OR_RETURN(const bool taken, runs[run].Take(fd, number));
    if (taken) heads.emplace(number, run);
    return absl::OkStatus();
  };
  for (size_t run = 0; run < runs.size(); ++run) RETURN_IF_ERROR(take(run));

  std::vector<uint64_t> doubled;
  uint64_t last = 0;
  for (bool first = true; !heads.empty() && doubled.size() < max;
       first = false) {
    const auto [number, run] = heads.top();
    heads.pop();
    const bool is_known = !doubled.empty() && doubled.back() == number;
    if (!first && number == last && !is_known) doubled.push_back(number);
    last = number;
    RETURN_IF_ERROR(take(run));
  }
  return doubled;
}

}  // namespace midwatch::cli
