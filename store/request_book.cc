#include "store/request_book.h"

#include <algorithm>
#include <utility>

#include "base/sha256.h"
#include "base/status_macros.h"

namespace midwatch {
namespace {

// With each call of Forget: twice as many as come between two.
constexpr int64_t kForgottenAtOnce = 128;

int64_t FingerprintOf(const std::string& key) {
  return static_cast<int64_t>(Sha256Prefix(key));
}

}  // namespace

absl::Status RequestBook::Load() {
  int64_t filed_up_to = 0;
  {
    SqliteStatement row =
        db_.Query("SELECT value FROM meta WHERE key = 'requests_filed'");
    if (row.Step()) filed_up_to = row.Int(0);
    RETURN_IF_ERROR(row.status());
  }
  {
    SqliteStatement row = db_.Query(
        "SELECT task, key, day FROM request_log WHERE task > ? ORDER BY task",
        filed_up_to);
    while (row.Step()) {
      Remember({.day = row.Int(2),
                .fingerprint = FingerprintOf(row.Text(1)),
                .task = row.Int(0)});
    }
    RETURN_IF_ERROR(row.status());
  }
  int64_t day = INT64_MIN;
  while (true) {
    SqliteStatement row = db_.Query(
        "SELECT day FROM request_index WHERE day > ? ORDER BY day LIMIT 1",
        day);
    if (!row.Step()) return row.status();
    day = row.Int(0);
    days_.push_back(day);
  }
}

void RequestBook::Remember(const Entry& entry) {
  // A number that comes again was rolled back, and all behind it.
  while (!recent_.empty() && recent_.back().task >= entry.task) {
    recent_.pop_back();
  }
  recent_.push_back(entry);
  tasks_.emplace(entry.fingerprint, entry.task);
}

absl::StatusOr<std::optional<KnownRequest>> RequestBook::Look(
    int64_t task, const std::string& key) {
  SqliteStatement row =
      db_.Query("SELECT key, hash FROM request_log WHERE task = ?", task);
  std::optional<KnownRequest> known;
  if (row.Step() && row.Text(0) == key) {
    known = KnownRequest{task, row.Text(1)};
  }
  RETURN_IF_ERROR(row.status());
  return known;
}

absl::StatusOr<std::optional<KnownRequest>> RequestBook::Find(
    const std::string& key) {
  const int64_t fingerprint = FingerprintOf(key);
  std::vector<int64_t> tasks;
  auto [it, end] = tasks_.equal_range(fingerprint);
  for (; it != end; ++it) tasks.push_back(it->second);
  for (int64_t day : days_) {
    SqliteStatement row = db_.Query(
        "SELECT task FROM request_index WHERE day = ? AND fingerprint = ?", day,
        fingerprint);
    while (row.Step()) tasks.push_back(row.Int(0));
    RETURN_IF_ERROR(row.status());
  }
  for (int64_t task : tasks) {
    ASSIGN_OR_RETURN(std::optional<KnownRequest> known, Look(task, key));
    if (known) return known;
  }
  return std::nullopt;
}

absl::Status RequestBook::Add(const std::string& key, const std::string& hash,
                              int64_t task, int64_t day) {
  RETURN_IF_ERROR(
      db_.Run("INSERT INTO request_log(task, key, hash, day) VALUES (?,?,?,?)",
              task, key, hash, day));
  Remember({.day = day, .fingerprint = FingerprintOf(key), .task = task});
  return absl::OkStatus();
}

absl::Status RequestBook::Forget(int64_t before_day) {
  RETURN_IF_ERROR(db_.Run(
      "DELETE FROM request_log WHERE task IN "
      "(SELECT task FROM request_log ORDER BY task LIMIT ?) AND day < ?",
      kForgottenAtOnce, before_day));
  if (days_.empty() || days_.front() >= before_day) return absl::OkStatus();
  RETURN_IF_ERROR(
      db_.Run("DELETE FROM request_index WHERE (day, fingerprint, task) IN "
              "(SELECT day, fingerprint, task FROM request_index WHERE day = ? "
              "ORDER BY fingerprint, task LIMIT ?)",
              days_.front(), kForgottenAtOnce));
  if (db_.changes() == 0) days_.erase(days_.begin());
  return absl::OkStatus();
}

// Everything in the log is committed now, so what is in memory and behind its
// end was rolled back.
absl::Status RequestBook::BeginFiling() {
  SqliteStatement row =
      db_.Query("SELECT task FROM request_log ORDER BY task DESC LIMIT 1");
  const int64_t last = row.Step() ? row.Int(0) : 0;
  RETURN_IF_ERROR(row.status());
  while (!recent_.empty() && recent_.back().task > last) recent_.pop_back();
  filing_ = std::exchange(recent_, {});
  std::sort(filing_.begin(), filing_.end());
  filed_ = 0;
  return absl::OkStatus();
}

absl::Status RequestBook::File(size_t end) {
  for (size_t i = filed_; i < end; ++i) {
    const Entry& entry = filing_[i];
    RETURN_IF_ERROR(db_.Run(
        "INSERT INTO request_index(day, fingerprint, task) VALUES (?,?,?) "
        "ON CONFLICT DO NOTHING",
        entry.day, entry.fingerprint, entry.task));
  }
  if (end < filing_.size()) return absl::OkStatus();
  const auto newest = std::max_element(
      filing_.begin(), filing_.end(),
      [](const Entry& a, const Entry& b) { return a.task < b.task; });
  return db_.Run(
      "INSERT INTO meta(key, value) VALUES ('requests_filed', ?) "
      "ON CONFLICT(key) DO UPDATE SET value = excluded.value",
      newest->task);
}

void RequestBook::Filed(size_t end) {
  for (; filed_ < end; ++filed_) {
    const Entry& entry = filing_[filed_];
    auto place = std::lower_bound(days_.begin(), days_.end(), entry.day);
    if (place == days_.end() || *place != entry.day) {
      days_.insert(place, entry.day);
    }
    auto [it, last] = tasks_.equal_range(entry.fingerprint);
    while (it != last && it->second != entry.task) ++it;
    if (it != last) tasks_.erase(it);
  }
  if (filed_ < filing_.size()) return;
  filing_ = {};
  if (tasks_.size() == recent_.size()) return;
  // Some were rolled back.
  tasks_.clear();
  for (const Entry& entry : recent_) {
    tasks_.emplace(entry.fingerprint, entry.task);
  }
}

std::optional<WriteOp> RequestBook::NextFiling() {
  if (filing_.empty()) {
    if (recent_.size() < recent_max_ || !BeginFiling().ok()) {
      return std::nullopt;
    }
    if (filing_.empty()) return std::nullopt;
  }
  const size_t end = std::min(filed_ + kFiledAtOnce, filing_.size());
  return WriteOp{.run = [this, end] { return File(end); },
                 .finish =
                     [this, end](const absl::Status& status) {
                       if (status.ok()) Filed(end);
                     }};
}

}  // namespace midwatch
