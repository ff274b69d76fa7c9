// The licence audit as somebody runs it every night: the example's own batch
// file, submitted by its schedule in three nights across a change of the
// clocks, with all that a nightly run has. Beside it a backlog waits in the
// same queue, and schedulers and workers die while it is fired and while it
// runs.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "artifacts/directory_store.h"
#include "base/random.h"
#include "cli/batch_file.h"
#include "tests/sim/sim_world.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace midwatch::sim {
namespace {

using testing::FakePrompt;
using testing::FakeTurn;

constexpr int kPackages = 40;
constexpr int kAtOnce = 6;    // of an audit's tasks, as its file says
constexpr int kCanary = 5;    // likewise
constexpr int kCapacity = 8;  // of the one worker
constexpr int kBacklog = 160;
constexpr absl::Duration kDeadline = absl::Minutes(45);
constexpr absl::Duration kTick = absl::Seconds(1);
// After a firing something is looked at so often; the rest of the day passes.
constexpr absl::Duration kNight = absl::Hours(5);

struct ThreeNights {
  const char* name;
  const char* zone;
  // When the schedule is made: an hour before its first time, in UTC.
  const char* made;
  // When it fires, in UTC, and what its batches are called.
  std::vector<const char*> fires;
  std::vector<std::string> names;
};

absl::Time TimeOf(const char* text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, &error))
      << error;
  return time;
}

std::string ReadText(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// The example's file, of other packages, and with what a nightly run adds.
std::string WriteAudit(const testing::TempDir& dir) {
  for (int i = 0; i < kPackages; ++i) {
    const std::string package = dir / absl::StrCat("doc/package-", i);
    std::filesystem::create_directories(package);
    std::ofstream(package + "/copyright") << "License: GPL-" << i << "\n";
  }
  const std::string example = ReadText("examples/license-audit/batch.yaml");
  const std::string text = absl::StrReplaceAll(
      example, {{"glob: /usr/share/doc/*/copyright",
                 absl::StrCat("glob: ", dir.path(), "/doc/*/copyright")},
                {"defaults:\n",
                 "max_running: 6\nbudget: $20\n"
                 "canary: {tasks: 5, min_success: 0.8, max_cost: $1}\n"
                 "defaults:\n"
                 "  deadline: 45m\n"}});
  EXPECT_TRUE(absl::StrContains(text, dir.path()));
  EXPECT_TRUE(absl::StrContains(text, "deadline: 45m"));
  const std::string path = dir / "audit.yaml";
  std::ofstream(path) << text;
  return path;
}

class AuditNights {
 public:
  AuditNights(const ThreeNights& nights, uint64_t seed);

  void Play();

  World world;
  std::vector<BatchRecord> audits;  // once it was played, oldest first

 private:
  void MakeSchedule();
  FakeTurn Turn(const FakePrompt& prompt);
  void Run(absl::Duration duration);
  void PlayNight(absl::Time fires);
  bool AllDone();
  std::vector<BatchRecord> Audits();

  const ThreeNights& nights_;
  SeededRandom dice_;
  testing::TempDir dir_{testing::TempDir::InMemory()};
};

AuditNights::AuditNights(const ThreeNights& nights, uint64_t seed)
    : world(seed), nights_(nights), dice_(seed) {
  const absl::Time made = TimeOf(nights.made);
  for (const char* machine : {"scheduler", "service", "w1"}) {
    testing::FakeClock& clock = world.ClockOf(machine);
    clock.StepWall(made - clock.Now());
  }
  world.service->hooks.script = [this](const FakePrompt& prompt) {
    return Turn(prompt);
  };
}

FakeTurn AuditNights::Turn(const FakePrompt& prompt) {
  FakeTurn turn;
  turn.cost_cents = 1 + static_cast<int64_t>(dice_.Next() % 3);
  turn.files = {{"licenses.json", "{}"},
                {"result.json", "{}"},
                {"report.txt", ""},
                {"report.json", "{}"}};
  turn.duration = absl::StartsWith(prompt.text, "Do number")
                      ? absl::Minutes(10)
                      : absl::Minutes(1 + dice_.Fraction());
  const size_t at = prompt.text.find("Debian package ");
  if (at != prompt.text.npos) {
    const std::string rest = prompt.text.substr(at + 15);
    turn.message = absl::StrCat(
        R"({"package": ")", rest.substr(0, rest.find_first_of(" \n")), R"("})");
  }
  return turn;
}

void AuditNights::MakeSchedule() {
  auto batch = cli::LoadBatchFile(WriteAudit(dir_), {{"limit", "0"}});
  ASSERT_OK(batch.status());
  ASSERT_EQ(batch->tasks(), kPackages + 1);
  auto artifacts = ArtifactDirectory::Open(world.artifacts_dir());
  ASSERT_OK(artifacts.status());
  for (const auto& [sha256, path] : batch->input_paths) {
    ASSERT_OK(artifacts->PutFile(path).status());
  }
  v1::PutScheduleRequest request;
  request.set_name("license-audit");
  request.mutable_timing()->set_cron("30 2 * * *");
  request.mutable_timing()->set_time_zone(nights_.zone);
  *request.mutable_batch() = batch->open;
  for (const v1::TaskLine& line : batch->lines) *request.add_lines() = line;
  absl::Status made = absl::UnknownError("no answer");
  world.scheduler().PutSchedule(
      request, [&](const absl::StatusOr<v1::PutScheduleResponse>& response) {
        made = response.status();
      });
  world.time.RunUntilIdle();
  ASSERT_OK(made);
}

// What a process supervisor does, once a second.
void AuditNights::Run(absl::Duration duration) {
  for (; duration > absl::ZeroDuration(); duration -= kTick) {
    if (!world.scheduler_up()) world.StartScheduler();
    if (!world.worker_up("w1")) world.StartWorker("w1", kCapacity);
    world.time.Advance(std::min(kTick, duration));
  }
}

void AuditNights::PlayNight(absl::Time fires) {
  auto pick = [&](int most) {
    return 1 + static_cast<int>(dice_.Next() % static_cast<uint64_t>(most));
  };
  const testing::FakeClock& clock = world.ClockOf("scheduler");
  Run(fires - clock.Now() - absl::Milliseconds(pick(900)));
  // In the midst of the firing, and of what the audit does then.
  world.KillSchedulerSoon(pick(60),
                          pick(2) == 1 ? Death::kKilled : Death::kPowerLoss);
  Run(absl::Minutes(pick(5)));
  world.KillWorkerSoon("w1", pick(200));
  Run(absl::Minutes(pick(10)));
  if (world.scheduler_up()) world.KillSchedulerSoon(pick(200), Death::kKilled);
  Run(fires + kNight - clock.Now());
}

bool AuditNights::AllDone() {
  if (!world.scheduler_up() || !world.Done()) return false;
  for (const BatchRecord& audit : Audits()) {
    if (audit.state != v1::BATCH_STATE_DONE) return false;
  }
  return true;
}

std::vector<BatchRecord> AuditNights::Audits() {
  std::vector<BatchRecord> found;
  auto page = world.reader().ListBatches({}, INT64_MAX, 100);
  EXPECT_OK(page.status());
  for (const BatchRecord& batch : page->rows) {
    if (batch.name != "night") found.insert(found.begin(), batch);
  }
  return found;
}

void AuditNights::Play() {
  world.StartScheduler();
  world.SubmitBatch({.tasks = kBacklog});
  MakeSchedule();
  for (const char* fires : nights_.fires) PlayNight(TimeOf(fires));
  for (int minutes = 0; minutes < 120 && !AllDone(); ++minutes) {
    Run(absl::Minutes(1));
  }
  Run(absl::Hours(2));  // archives and other afterthoughts
  audits = Audits();
}

class ScheduledNightsTest : public ::testing::TestWithParam<ThreeNights> {
 protected:
  // The last task starts behind all others, and is told what each of them said.
  static void ExpectReport(AuditNights& nights,
                           const std::vector<TaskRecord>& tasks);
  // Of the audit, never more run than its file allows.
  static void ExpectCap(AuditNights& nights, const BatchRecord& audit);
  // Its canary passed once, and nothing else of it started before.
  static void ExpectCanary(AuditNights& nights, const BatchRecord& audit,
                           const std::vector<TaskRecord>& tasks);
  static void ExpectAudit(AuditNights& nights, const BatchRecord& audit);
};

void ScheduledNightsTest::ExpectReport(AuditNights& nights,
                                       const std::vector<TaskRecord>& tasks) {
  const TaskRecord& report = tasks.back();
  EXPECT_EQ(report.name, "report");
  std::string told;
  for (const auto& session : nights.world.service->SessionsWith(
           "midwatch_task", Ids(nights.world.cluster()).Format(report.key))) {
    if (!session.user_messages.empty()) told = session.user_messages.front();
  }
  for (const TaskRecord& task : tasks) {
    if (task.name == "report") continue;
    EXPECT_LE(task.ended_at, report.first_granted_at) << task.name;
    EXPECT_TRUE(absl::StrContains(
        told, absl::StrCat("{\"package\": \"", task.name, "\"}")))
        << task.name;
  }
}

void ScheduledNightsTest::ExpectCap(AuditNights& nights,
                                    const BatchRecord& audit) {
  auto journal = nights.world.reader().ListJournal(audit.key.row, 0, 1'000'000);
  ASSERT_OK(journal.status());
  std::set<int64_t> running;
  size_t most = 0;
  for (const JournalRecord& row : *journal) {
    if (row.kind == JournalKind::kGranted) running.insert(row.task->row);
    if (row.kind == JournalKind::kSettled || row.kind == JournalKind::kRetry) {
      running.erase(row.task->row);
    }
    most = std::max(most, running.size());
  }
  EXPECT_EQ(most, size_t{kAtOnce});
}

void ScheduledNightsTest::ExpectCanary(AuditNights& nights,
                                       const BatchRecord& audit,
                                       const std::vector<TaskRecord>& tasks) {
  std::map<int64_t, int64_t> lines;
  for (const TaskRecord& task : tasks) lines[task.key.row] = task.line;
  auto journal = nights.world.reader().ListJournal(audit.key.row, 0, 1'000'000);
  ASSERT_OK(journal.status());
  int passed = 0;
  std::set<int64_t> before;
  for (const JournalRecord& row : *journal) {
    if (row.kind == JournalKind::kCanaryPassed) ++passed;
    if (row.kind != JournalKind::kGranted || passed > 0) continue;
    EXPECT_LT(lines[row.task->row], kCanary);
    before.insert(row.task->row);
  }
  EXPECT_EQ(passed, 1);
  EXPECT_EQ(before.size(), size_t{kCanary});
  ASSERT_TRUE(audit.canary.has_value());
  EXPECT_EQ(audit.canary->verdict, v1::CANARY_VERDICT_PASSED);
}

void ScheduledNightsTest::ExpectAudit(AuditNights& nights,
                                      const BatchRecord& audit) {
  EXPECT_EQ(audit.state, v1::BATCH_STATE_DONE);
  EXPECT_EQ(audit.counts[v1::TASK_STATE_SUCCEEDED], kPackages + 1);
  EXPECT_LE(audit.ended_at - audit.at, kDeadline);
  auto tasks =
      nights.world.reader().ListTasks({.batch = audit.key.row}, 0, 1'000);
  ASSERT_OK(tasks.status());
  ExpectReport(nights, tasks->rows);
  ExpectCap(nights, audit);
  ExpectCanary(nights, audit, tasks->rows);
}

TEST_P(ScheduledNightsTest, EachFiresOnceAndEndsInTime) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    AuditNights nights(GetParam(), seed);
    nights.Play();
    ASSERT_EQ(nights.audits.size(), 3u);
    for (size_t night = 0; night < 3; ++night) {
      const BatchRecord& audit = nights.audits[night];
      SCOPED_TRACE(audit.name);
      EXPECT_EQ(audit.name, GetParam().names[night]);
      const absl::Time due = TimeOf(GetParam().fires[night]);
      EXPECT_GE(audit.at, due);
      EXPECT_LT(audit.at, due + absl::Seconds(10)) << "but for a restart";
      ExpectAudit(nights, audit);
    }
    // The backlog held the worker when the first night began, and went on
    // behind it.
    EXPECT_GT(nights.world.Batch().ended_at, nights.audits[0].ended_at);
    EXPECT_GE(nights.world.counts.Of("scheduler kills") +
                  nights.world.counts.Of("power losses"),
              6);
    nights.world.CheckAtEnd(kBacklog + 3 * (kPackages + 1));
    for (const Violation& violation : nights.world.checks.violations()) {
      ADD_FAILURE() << absl::FormatDuration(violation.at) << ": "
                    << violation.invariant << ": " << violation.what;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    ClocksGo, ScheduledNightsTest,
    ::testing::ValuesIn<ThreeNights>({
        {"Back",
         "Europe/Berlin",
         "2027-10-29T23:30:00Z",
         {"2027-10-30T00:30:00Z", "2027-10-31T00:30:00Z",
          "2027-11-01T01:30:00Z"},
         {"license-audit-2027-10-30T02:30",
          "license-audit-2027-10-31T02:30+0200",
          "license-audit-2027-11-01T02:30"}},
        {"Forward",
         "Europe/Berlin",
         "2027-03-27T00:30:00Z",
         {"2027-03-27T01:30:00Z", "2027-03-28T01:00:00Z",
          "2027-03-29T00:30:00Z"},
         {"license-audit-2027-03-27T02:30", "license-audit-2027-03-28T03:00",
          "license-audit-2027-03-29T02:30"}},
    }),
    [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace midwatch::sim
