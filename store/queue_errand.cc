// Errands: what is to be done at a service where no attempt is left to do it.
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

// Who settles archives at once; an errand is for what that missed.
constexpr int64_t kErrandGrace = 60'000'000;  // in microseconds
constexpr int64_t kErrandLease = 120'000'000;

}  // namespace

absl::Status QueueWriter::AddErrand(int64_t account,
                                    const std::string& session) {
  return db_.Run(
      "INSERT INTO errand(account, session, due) VALUES (?,?,?) "
      "ON CONFLICT DO NOTHING",
      account, session, NowMicros() + kErrandGrace);
}

absl::StatusOr<LeasedErrands> QueueWriter::Do(const LeaseErrands& write) {
  ASSIGN_OR_RETURN(int64_t account, FindAccount(write.account));
  const int64_t now = NowMicros();
  LeasedErrands leased;
  {
    SqliteStatement row = db_.Query(
        "SELECT session FROM errand WHERE account = ? AND due <= ? "
        "ORDER BY due LIMIT ?",
        account, now, write.max);
    while (row.Step()) leased.sessions.push_back(row.Text(0));
    RETURN_IF_ERROR(row.status());
  }
  for (const std::string& session : leased.sessions) {
    RETURN_IF_ERROR(
        db_.Run("UPDATE errand SET due = ? WHERE account = ? AND session = ?",
                now + kErrandLease, account, session));
  }
  return leased;
}

absl::StatusOr<Done> QueueWriter::Do(const CompleteErrands& write) {
  ASSIGN_OR_RETURN(int64_t account, FindAccount(write.account));
  for (const std::string& session : write.sessions) {
    RETURN_IF_ERROR(
        db_.Run("DELETE FROM errand WHERE account = ? AND session = ?", account,
                session));
  }
  return Done{};
}

}  // namespace midwatch
