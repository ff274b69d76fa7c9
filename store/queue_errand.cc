// Errands: what is to be done at a service where no attempt is left to do it.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

// Who settles archives at once; an errand is for what that missed.
constexpr int64_t kErrandGrace = 60'000'000;  // in microseconds
constexpr int64_t kErrandLease = 120'000'000;
// After what time the service is not asked any more what a session cost.
constexpr int64_t kNothingIsBelieved = int64_t{3600} * 1'000'000;
// For how long a task waits for that before it fails.
constexpr int64_t kTaskWaits = int64_t{2} * 3600 * 1'000'000;
constexpr int64_t kCostAwaited = int64_t{48} * 3600 * 1'000'000;

}  // namespace

absl::Status QueueWriter::AddErrand(const LiveRow& live) {
  return db_.Run(
      "INSERT INTO errand(account, session, due, task, n) VALUES (?,?,?,?,?) "
      "ON CONFLICT DO NOTHING",
      live.account, live.session, NowMicros() + kErrandGrace, live.lease.task,
      live.lease.attempt);
}

absl::StatusOr<LeasedErrands> QueueWriter::Do(const LeaseErrands& write) {
  ASSIGN_OR_RETURN(int64_t account, FindAccount(write.account));
  const int64_t now = NowMicros();
  LeasedErrands leased;
  // To a key that is refused, or another workspace's, every session is gone.
  ASSIGN_OR_RETURN(AccountStanding standing, LoadStanding(account));
  const bool refused = standing.state == v1::ACCOUNT_STATE_REFUSED;
  int32_t most = write.max;
  if (refused) {
    ASSIGN_OR_RETURN(bool probe, MayProbeByErrand(account, standing));
    if (!probe) return leased;
    most = 1;
  }
  {
    SqliteStatement row = db_.Query(
        "SELECT session FROM errand WHERE account = ? AND due <= ? "
        "ORDER BY due LIMIT ?",
        account, now, most);
    while (row.Step()) leased.sessions.push_back(row.Text(0));
    RETURN_IF_ERROR(row.status());
  }
  for (const std::string& session : leased.sessions) {
    RETURN_IF_ERROR(
        db_.Run("UPDATE errand SET due = ? WHERE account = ? AND session = ?",
                now + kErrandLease, account, session));
  }
  if (refused) {
    for (const std::string& session : leased.sessions) {
      RETURN_IF_ERROR(
          db_.Run("UPDATE account SET probe = -(SELECT task FROM errand "
                  "WHERE account = ? AND session = ?) WHERE label = ?",
                  account, session, account));
    }
    return leased;
  }
  ASSIGN_OR_RETURN(leased.sweep_from, LeaseSweep(account));
  return leased;
}

absl::StatusOr<bool> QueueWriter::MayProbeByErrand(
    int64_t account, const AccountStanding& standing) {
  const absl::Time now = clock_.Now();
  if (standing.next_probe > now) return false;
  {
    SqliteStatement row = db_.Query(
        "SELECT 1 FROM live WHERE account = ? UNION ALL "
        "SELECT 1 FROM lane WHERE account = ? AND blocked = 0 "
        "AND head IS NOT NULL LIMIT 1",
        account, account);
    const bool attempts = row.Step();
    RETURN_IF_ERROR(row.status());
    if (attempts) return false;
  }
  RETURN_IF_ERROR(db_.Run("UPDATE account SET next_probe = ? WHERE label = ?",
                          absl::ToUnixMicros(now + standing.probe_every),
                          account));
  return true;
}

absl::StatusOr<Done> QueueWriter::Do(const CompleteErrands& write) {
  ASSIGN_OR_RETURN(int64_t account, FindAccount(write.account));
  for (const DoneErrand& errand : write.errands) {
    ASSIGN_OR_RETURN(bool probe, IsProbe(account, errand.session));
    // That it is gone may be the wrong key's word.
    if (probe && errand.gone) continue;
    if (probe) RETURN_IF_ERROR(OpenAccount(account));
    RETURN_IF_ERROR(CompleteErrand(account, errand));
  }
  return Done{};
}

// What was done before the account refused, and told since, proves nothing.
absl::StatusOr<bool> QueueWriter::IsProbe(int64_t account,
                                          const std::string& session) {
  SqliteStatement row = db_.Query(
      "SELECT 1 FROM account c JOIN errand e ON e.account = c.label "
      "WHERE c.label = ? AND c.state = ? AND e.session = ? "
      "AND c.probe = -e.task",
      account, static_cast<int>(v1::ACCOUNT_STATE_REFUSED), session);
  const bool probe = row.Step();
  RETURN_IF_ERROR(row.status());
  return probe;
}

absl::Status QueueWriter::CompleteErrand(int64_t account,
                                         const DoneErrand& errand) {
  int64_t task = 0, charged = 0, ended_at = 0;
  int32_t attempt = 0;
  bool unknown = false;
  {
    SqliteStatement row = db_.Query(
        "SELECT a.task, a.n, a.charged, a.unknown_cost, a.ended_at "
        "FROM errand e JOIN attempt a ON a.task = e.task AND a.n = e.n "
        "WHERE e.account = ? AND e.session = ?",
        account, errand.session);
    if (row.Step()) {
      task = row.Int(0);
      attempt = static_cast<int32_t>(row.Int(1));
      charged = row.Int(2);
      unknown = row.Int(3) != 0;
      ended_at = row.Int(4);
    }
    RETURN_IF_ERROR(row.status());
  }
  const int64_t now = NowMicros();
  // Nothing at all is what a service says that has not counted yet; an hour
  // later it is what the session cost.
  const bool says_cost = errand.cost.value_or(0) > 0 ||
                         (errand.cost && now >= ended_at + kNothingIsBelieved);
  if (unknown && !says_cost && !errand.gone && now < ended_at + kCostAwaited) {
    return db_.Run(
        "UPDATE errand SET due = ? WHERE account = ? AND session = ?",
        now + absl::ToInt64Microseconds(kCostLookEvery), account,
        errand.session);
  }
  // A session's cost only grows: a lower figure than the one at its end is an
  // older one.
  if (task != 0 && errand.cost && (unknown || *errand.cost > charged)) {
    RETURN_IF_ERROR(AdjustCost(task, attempt, *errand.cost));
  } else if (unknown) {
    RETURN_IF_ERROR(
        db_.Run("UPDATE attempt SET unknown_cost = 2 WHERE task = ? AND n = ?",
                task, attempt));
  }
  return db_.Run("DELETE FROM errand WHERE account = ? AND session = ?",
                 account, errand.session);
}

absl::Status QueueWriter::AdjustCost(int64_t id, int32_t attempt,
                                     int64_t cost) {
  // A negative cost would make room in the budgets.
  cost = std::max<int64_t>(0, cost);
  ASSIGN_OR_RETURN(TaskRow task, LoadTask(id));
  int64_t reserved = 0, charged = 0, granted_at = 0, grant_seq = 0;
  {
    SqliteStatement row = db_.Query(
        "SELECT reserved, charged, granted_at, grant_seq FROM attempt "
        "WHERE task = ? AND n = ?",
        id, attempt);
    if (row.Step()) {
      reserved = row.Int(0);
      charged = row.Int(1);
      granted_at = row.Int(2);
      grant_seq = row.Int(3);
    }
    RETURN_IF_ERROR(row.status());
  }
  auto over = [&](int64_t sum) { return std::max<int64_t>(0, sum - reserved); };
  const int64_t charge_delta = cost - charged;
  const int64_t over_delta = over(cost) - over(charged);
  RETURN_IF_ERROR(
      db_.Run("UPDATE attempt SET charged = ?, unknown_cost = 0 "
              "WHERE task = ? AND n = ?",
              cost, id, attempt));
  RETURN_IF_ERROR(db_.Run("UPDATE task SET charged = charged + ? WHERE id = ?",
                          charge_delta, id));
  RETURN_IF_ERROR(AdjustBalances(task.lane, granted_at, grant_seq, charge_delta,
                                 over_delta));
  // Where it waits for room, it may need less now.
  if (task.rank.has_value()) {
    RETURN_IF_ERROR(db_.Run(
        "UPDATE lane SET blocked = blocked & ~4 WHERE id = ?", task.lane));
  }
  if (task.batch != 0) {
    RETURN_IF_ERROR(db_.Run(
        "UPDATE batch SET charged = charged + ?, over = over + ? WHERE id = ?",
        charge_delta, over_delta, task.batch));
  }
  JournalEntry entry{.kind = JournalKind::kAdjusted,
                     .batch = task.batch,
                     .task = id,
                     .attempt = attempt,
                     .state = task.state,
                     .charge_delta = charge_delta,
                     .over_delta = over_delta,
                     .why = "what the service says that the session cost"};
  RETURN_IF_ERROR(Journal(entry).status());
  if (!IsFinal(task.state)) {
    RETURN_IF_ERROR(AddSunk(task.batch, charge_delta));
  }
  return NoteOutcome(task, v1::TASK_STATE_UNSPECIFIED, charge_delta);
}

absl::StatusOr<bool> QueueWriter::IsCostPending(int64_t task) {
  SqliteStatement row = db_.Query(
      "SELECT 1 FROM attempt WHERE task = ? AND unknown_cost = 1 "
      "AND session != '' AND ended_at > ?",
      task, NowMicros() - kTaskWaits);
  const bool pending = row.Step();
  RETURN_IF_ERROR(row.status());
  return pending;
}

absl::Status QueueWriter::BeginAnother(const TaskRow& task, int64_t due) {
  if (IsEnoughLeft(task.max_cost, task.charged)) return MakeReady(task, due);
  ASSIGN_OR_RETURN(bool pending, IsCostPending(task.id));
  if (pending) {
    const int64_t next =
        NowMicros() + absl::ToInt64Microseconds(kCostLookEvery);
    RETURN_IF_ERROR(
        db_.Run("UPDATE task SET not_before = ? WHERE id = ?", next, task.id));
    return db_.Run("INSERT INTO timer(at, kind, ref) VALUES (?, ?, ?)", next,
                   kReadyTimer, task.id);
  }
  const std::string why = absl::StrCat(" (", kCostExhausted, ")");
  RETURN_IF_ERROR(db_.Run(
      "UPDATE task SET state = ?, why = replace(ifnull(why, ''), ?, '') || ?, "
      "ended_at = ?, not_before = NULL WHERE id = ?",
      static_cast<int>(v1::TASK_STATE_FAILED), kAwaitsCost, why, NowMicros(),
      task.id));
  JournalEntry entry{.kind = JournalKind::kSettled,
                     .batch = task.batch,
                     .task = task.id,
                     .state = v1::TASK_STATE_FAILED,
                     .why = kCostExhausted};
  RETURN_IF_ERROR(Journal(entry).status());
  RETURN_IF_ERROR(AddSunk(task.batch, -task.charged));
  RETURN_IF_ERROR(NoteOutcome(task, v1::TASK_STATE_FAILED, 0));
  RETURN_IF_ERROR(Count(task.batch, task.state, v1::TASK_STATE_FAILED));
  return WakeNeedy(task.id, task.batch, v1::TASK_STATE_FAILED);
}

}  // namespace midwatch
