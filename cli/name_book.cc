#include "cli/name_book.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <queue>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace midwatch::cli {
namespace {

constexpr size_t kReadEntries = 4096;

absl::Status FileError() {
  return absl::FailedPreconditionError(
      absl::StrCat("cannot keep a temporary file (", std::strerror(errno),
                   "); it holds 24 bytes for each task of a large file, and "
                   "for each that a task needs"));
}

}  // namespace

// Sorted entries in the file, read in pieces.
struct NameBook::Run {
  int64_t next = 0, end = 0;  // in entries
  std::vector<Entry> read;
  size_t at = 0;

  // False behind the last.
  absl::StatusOr<bool> Take(int fd, Entry& entry) {
    if (at == read.size()) {
      if (next == end) return false;
      read.resize(
          static_cast<size_t>(std::min<int64_t>(end - next, kReadEntries)));
      at = 0;
      const size_t bytes = read.size() * sizeof(Entry);
      const off_t offset = next * static_cast<int64_t>(sizeof(Entry));
      if (pread(fd, read.data(), bytes, offset) !=
          static_cast<ssize_t>(bytes)) {
        return FileError();
      }
      next += static_cast<int64_t>(read.size());
    }
    entry = read[at++];
    return true;
  }
};

absl::Status NameBook::AddName(uint64_t hash, int64_t line) {
  return Add({.hash = hash, .line = line, .is_name = true});
}

absl::Status NameBook::AddNeed(uint64_t hash, int64_t line) {
  return Add({.hash = hash, .line = line, .is_name = false});
}

absl::Status NameBook::Add(const Entry& entry) {
  held_.push_back(entry);
  return held_.size() < held_max_ ? absl::OkStatus() : PutAway();
}

absl::Status NameBook::PutAway() {
  if (file_ == nullptr) file_.reset(std::tmpfile());
  if (file_ == nullptr) return FileError();
  std::sort(held_.begin(), held_.end());
  if (std::fwrite(held_.data(), sizeof(Entry), held_.size(), file_.get()) !=
          held_.size() ||
      std::fflush(file_.get()) != 0) {
    return FileError();
  }
  runs_.push_back(held_.size());
  held_.clear();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint64_t>> NameBook::FindWrong(size_t max) {
  std::sort(held_.begin(), held_.end());
  std::vector<Run> runs;
  int64_t begin = 0;
  for (size_t entries : runs_) {
    Run& run = runs.emplace_back();
    run.next = begin;
    begin += static_cast<int64_t>(entries);
    run.end = begin;
  }
  // What is held still is one more run, read already.
  runs.emplace_back().read = std::move(held_);

  const int fd = file_ == nullptr ? -1 : fileno(file_.get());
  using Head = std::pair<Entry, size_t>;  // an entry, and its run
  std::priority_queue<Head, std::vector<Head>, std::greater<Head>> heads;
  auto take = [&](size_t run) -> absl::Status {
    Entry entry;
    ASSIGN_OR_RETURN(const bool taken, runs[run].Take(fd, entry));
    if (taken) heads.emplace(entry, run);
    return absl::OkStatus();
  };
  for (size_t run = 0; run < runs.size(); ++run) RETURN_IF_ERROR(take(run));

  std::vector<uint64_t> wrong;
  uint64_t hash = 0;
  bool named = false;  // `hash` is, by a line before
  for (bool first = true; !heads.empty() && wrong.size() < max; first = false) {
    const auto [entry, run] = heads.top();
    heads.pop();
    if (first || entry.hash != hash) named = false;
    hash = entry.hash;
    const bool is_told = !wrong.empty() && wrong.back() == hash;
    if (entry.is_name == named && !is_told) wrong.push_back(hash);
    named |= entry.is_name;
    RETURN_IF_ERROR(take(run));
  }
  return wrong;
}

}  // namespace midwatch::cli
