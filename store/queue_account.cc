// Accounts that are not open, and how they open.
#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

SqliteNullable<int64_t> MicrosOrNull(absl::Time time) {
  bool finite = time > absl::InfinitePast() && time < absl::InfiniteFuture();
  return {finite, finite ? absl::ToUnixMicros(time) : 0};
}

absl::Time TimeOrNever(const SqliteStatement& row, int column) {
  return row.IsNull(column) ? absl::InfiniteFuture()
                            : absl::FromUnixMicros(row.Int(column));
}

}  // namespace

absl::StatusOr<int64_t> QueueWriter::FindAccount(const std::string& name) {
  SqliteStatement row = db_.Query(
      "SELECT id FROM label WHERE kind = ? AND name = ?", kAccountLabel, name);
  if (row.Step()) return row.Int(0);
  RETURN_IF_ERROR(row.status());
  return absl::NotFoundError(
      "no such account: no task and no worker has named it");
}

absl::StatusOr<AccountStanding> QueueWriter::LoadStanding(int64_t account) {
  AccountStanding standing;
  SqliteStatement row = db_.Query(
      "SELECT state, why, since, until, next_probe, probe_every, "
      "bad_templates FROM account WHERE label = ?",
      account);
  if (row.Step()) {
    standing.state = static_cast<v1::AccountState>(row.Int(0));
    standing.why = row.Text(1);
    if (!row.IsNull(2)) standing.since = absl::FromUnixMicros(row.Int(2));
    standing.until = TimeOrNever(row, 3);
    standing.next_probe = TimeOrNever(row, 4);
    if (!row.IsNull(5)) standing.probe_every = absl::Microseconds(row.Int(5));
    std::string templates = row.Text(6);
    for (absl::string_view each :
         absl::StrSplit(templates, ',', absl::SkipEmpty())) {
      int64_t id = 0;
      if (absl::SimpleAtoi(each, &id)) standing.bad_templates.push_back(id);
    }
  }
  RETURN_IF_ERROR(row.status());
  return standing;
}

absl::Status QueueWriter::PutStanding(int64_t account,
                                      const AccountStanding& standing) {
  ASSIGN_OR_RETURN(AccountStanding before, LoadStanding(account));
  bool probes = standing.probe_every < absl::InfiniteDuration();
  RETURN_IF_ERROR(db_.Run(
      "INSERT OR REPLACE INTO account(label, state, why, since, until, "
      "next_probe, probe_every, bad_templates) VALUES (?,?,?,?,?,?,?,?)",
      account, static_cast<int>(standing.state), standing.why,
      MicrosOrNull(standing.since), MicrosOrNull(standing.until),
      MicrosOrNull(standing.next_probe),
      SqliteNullable<int64_t>{
          probes, probes ? absl::ToInt64Microseconds(standing.probe_every) : 0},
      absl::StrJoin(standing.bad_templates, ",")));
  absl::Time next = std::min(standing.until, standing.next_probe);
  if (next < absl::InfiniteFuture()) {
    RETURN_IF_ERROR(
        db_.Run("INSERT INTO timer(at, kind, ref) VALUES (?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                absl::ToUnixMicros(next), kAccountTimer, account));
  }
  bool open = standing.state == v1::ACCOUNT_STATE_OPEN;
  if (open && before.state == v1::ACCOUNT_STATE_OPEN) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::string name, LabelName(account));
  JournalEntry entry{
      .kind = open ? JournalKind::kAccountOpened : JournalKind::kAccountShut,
      .why = absl::StrCat("account ", name, standing.why.empty() ? "" : ": ",
                          standing.why)};
  RETURN_IF_ERROR(Journal(entry).status());
  SqliteStatement row = db_.Query(
      "SELECT DISTINCT batch FROM lane WHERE account = ? AND batch > 0 "
      "AND (head IS NOT NULL OR running > 0)",
      account);
  while (row.Step()) touched_batches_.insert(row.Int(0));
  return row.status();
}

absl::Status QueueWriter::OpenAccount(int64_t account) {
  AccountStanding open;
  open.since = clock_.Now();
  return PutStanding(account, open);
}

absl::StatusOr<bool> QueueWriter::NoteProbe(const LiveRow& live) {
  ASSIGN_OR_RETURN(AccountStanding standing, LoadStanding(live.account));
  if (standing.state == v1::ACCOUNT_STATE_OPEN) return false;
  RETURN_IF_ERROR(
      db_.Run("UPDATE account SET probe = ?, next_probe = ? WHERE label = ?",
              live.lease.task,
              MicrosOrNull(clock_.Now() + standing.probe_every), live.account));
  return true;
}

absl::StatusOr<bool> QueueWriter::OpenIfProbe(int64_t account, int64_t task) {
  {
    SqliteStatement row = db_.Query(
        "SELECT 1 FROM account WHERE label = ? AND probe = ? AND state IN "
        "(?, ?)",
        account, task, static_cast<int>(v1::ACCOUNT_STATE_REFUSED),
        static_cast<int>(v1::ACCOUNT_STATE_SPEND_CAP));
    bool probe = row.Step();
    RETURN_IF_ERROR(row.status());
    if (!probe) return false;
  }
  RETURN_IF_ERROR(OpenAccount(account));
  return true;
}

absl::Status QueueWriter::ProbeNow(int64_t account) {
  int64_t now = NowMicros();
  RETURN_IF_ERROR(db_.Run("UPDATE account SET next_probe = ? WHERE label = ?",
                          now, account));
  return db_.Run(
      "INSERT INTO timer(at, kind, ref) VALUES (?, ?, ?) "
      "ON CONFLICT DO NOTHING",
      now, kAccountTimer, account);
}

// Comes again for as long as the account is not open: whoever was granted the
// last probe may have died with it.
absl::Status QueueWriter::FireAccountTimer(int64_t account, int64_t at) {
  ASSIGN_OR_RETURN(AccountStanding standing, LoadStanding(account));
  absl::Time now = clock_.Now();
  if (standing.state == v1::ACCOUNT_STATE_OPEN) return absl::OkStatus();
  if (standing.state == v1::ACCOUNT_STATE_PAUSED) {
    return standing.until <= std::max(now, absl::FromUnixMicros(at))
               ? OpenAccount(account)
               : absl::OkStatus();
  }
  absl::Time next = standing.next_probe > now ? standing.next_probe
                                              : now + standing.probe_every;
  return db_.Run(
      "INSERT INTO timer(at, kind, ref) VALUES (?, ?, ?) "
      "ON CONFLICT DO NOTHING",
      absl::ToUnixMicros(next), kAccountTimer, account);
}

absl::Status QueueWriter::KeepForAccount(const LiveRow& live,
                                         const Disposition& disposition) {
  RETURN_IF_ERROR(
      db_.Run("UPDATE live SET worker = NULL, held_at = ? WHERE task = ?",
              NowMicros(), live.lease.task));
  JournalEntry entry{.kind = JournalKind::kHeld,
                     .batch = live.batch,
                     .task = live.lease.task,
                     .attempt = live.lease.attempt,
                     .state = StateOf(live),
                     .who = live.lease.worker,
                     .failure_class = disposition.failure_class,
                     .why = disposition.reason};
  return Journal(entry).status();
}

absl::StatusOr<AccountSet> QueueWriter::DescribeAccount(const std::string& name,
                                                        int64_t account) {
  AccountSet set;
  set.account.name = name;
  ASSIGN_OR_RETURN(set.account.standing, LoadStanding(account));
  ASSIGN_OR_RETURN(Control control, LoadControl(account));
  set.account.max_running = static_cast<int32_t>(control.max_running);
  SqliteStatement row = db_.Query(
      "SELECT count(*) FROM live WHERE account = ? AND parked_at IS NULL",
      account);
  if (row.Step()) set.account.running = row.Int(0);
  RETURN_IF_ERROR(row.status());
  return set;
}

absl::StatusOr<AccountSet> QueueWriter::Do(const PauseAccount& write) {
  ASSIGN_OR_RETURN(int64_t account, FindAccount(write.account));
  AccountStanding standing;
  standing.state = v1::ACCOUNT_STATE_PAUSED;
  standing.why = write.reason;
  standing.since = clock_.Now();
  standing.until = write.until;
  RETURN_IF_ERROR(PutStanding(account, standing));
  return DescribeAccount(write.account, account);
}

absl::StatusOr<AccountSet> QueueWriter::Do(const ResumeAccount& write) {
  ASSIGN_OR_RETURN(int64_t account, FindAccount(write.account));
  ASSIGN_OR_RETURN(AccountStanding standing, LoadStanding(account));
  if (standing.state == v1::ACCOUNT_STATE_PAUSED) {
    RETURN_IF_ERROR(OpenAccount(account));
  } else if (standing.state != v1::ACCOUNT_STATE_OPEN) {
    RETURN_IF_ERROR(ProbeNow(account));
  }
  return DescribeAccount(write.account, account);
}

absl::StatusOr<Done> QueueWriter::Do(const PassProbe& write) {
  ASSIGN_OR_RETURN(LiveRow live, LoadLive(write.lease));
  RETURN_IF_ERROR(OpenIfProbe(live.account, live.lease.task).status());
  return Done{};
}

}  // namespace midwatch
