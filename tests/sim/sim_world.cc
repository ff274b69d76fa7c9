#include "tests/sim/sim_world.h"

#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "store/queue_writer.h"

namespace midwatch::sim {
namespace {

constexpr absl::Duration kLinkLatency = absl::Milliseconds(1);
// What a caller waits for an answer.
constexpr absl::Duration kCallTimeout = absl::Seconds(10);
constexpr absl::Duration kSecondArrivalMax = absl::Minutes(1);

// A worker's way to the scheduler, on which answers are lost and calls arrive
// twice.
class FlakyClient final : public SchedulerClient {
 public:
  FlakyClient(World& world, Executor& executor,
              std::unique_ptr<SchedulerClient> inner)
      : world_(world), executor_(executor), inner_(std::move(inner)) {}

#define MIDWATCH_CALL(method)                                  \
  Async<absl::StatusOr<v1::method##Response>> method(          \
      v1::method##Request request) override {                  \
    return Call(&SchedulerClient::method, std::move(request)); \
  }
  MIDWATCH_CALL(RegisterWorker)
  MIDWATCH_CALL(RenewWorker)
  MIDWATCH_CALL(AskSlots)
  MIDWATCH_CALL(BeginCreate)
  MIDWATCH_CALL(RecordSession)
  MIDWATCH_CALL(ClearSession)
  MIDWATCH_CALL(AppendEvents)
  MIDWATCH_CALL(ReadEvents)
  MIDWATCH_CALL(Advise)
  MIDWATCH_CALL(AddAnswer)
  MIDWATCH_CALL(MarkSaid)
  MIDWATCH_CALL(Park)
  MIDWATCH_CALL(Settle)
  MIDWATCH_CALL(HandBack)
  MIDWATCH_CALL(FindRemoteIds)
  MIDWATCH_CALL(RecordRemoteId)
  MIDWATCH_CALL(LeaseErrands)
  MIDWATCH_CALL(CompleteErrands)
  MIDWATCH_CALL(ExplainSessions)
  MIDWATCH_CALL(CompleteSweep)
#undef MIDWATCH_CALL

  Async<absl::StatusOr<std::unique_ptr<LeaseStream>>> StreamLeases(
      v1::StreamLeasesRequest request) override {
    return inner_->StreamLeases(std::move(request));
  }

 private:
  template <typename Request, typename Response>
  using Method =
      Async<absl::StatusOr<Response>> (SchedulerClient::*)(Request request);

  template <typename Request, typename Response>
  Async<absl::StatusOr<Response>> Call(Method<Request, Response> method,
                                       Request request) {
    if (world_.random.Fraction() < world_.doubled_calls) {
      ++world_.counts.doubled_calls;
      absl::Duration delay = kSecondArrivalMax * world_.random.Fraction();
      Spawn(executor_, Again(*this, method, request, delay));
    }
    bool lost = world_.random.Fraction() < world_.lost_answers;
    absl::StatusOr<Response> answer =
        co_await (*inner_.*method)(std::move(request));
    if (!lost) co_return answer;
    ++world_.counts.lost_answers;
    co_await Sleep(executor_, kCallTimeout);
    co_return absl::DeadlineExceededError("the answer was lost");
  }

  template <typename Request, typename Response>
  static Async<void> Again(FlakyClient& self, Method<Request, Response> method,
                           Request request, absl::Duration delay) {
    co_await Sleep(self.executor_, delay);
    (void)co_await (*self.inner_.*method)(std::move(request));
  }

  World& world_;
  Executor& executor_;
  std::unique_ptr<SchedulerClient> inner_;
};

// Sessions by what they say they were made for.
std::map<std::string, std::vector<testing::FakeSessionView>> ByAttempt(
    const testing::FakeAgentsService& service) {
  std::map<std::string, std::vector<testing::FakeSessionView>> result;
  for (testing::FakeSessionView& session : service.Sessions()) {
    std::string key = absl::StrCat(session.metadata["midwatch_task"], "/",
                                   session.metadata["midwatch_attempt"]);
    result[key].push_back(std::move(session));
  }
  return result;
}

}  // namespace

World::World(uint64_t seed) : random(seed) {
  SetLogSink([this](LogLevel, absl::string_view line) { Trace(line); });
  service = std::make_unique<testing::FakeAgentsService>(NewExecutor(), clock);
}

World::~World() {
  while (!workers_.empty()) CrashWorker(workers_.begin()->first);
  if (scheduler_ != nullptr) CrashScheduler();
  service.reset();  // before the executors that it knows
  SetLogSink(nullptr);
}

testing::FakeExecutor& World::NewExecutor() {
  executors_.push_back(std::make_unique<testing::FakeExecutor>(time));
  return *executors_.back();
}

void World::StartScheduler() {
  scheduler_executor_ = &NewExecutor();
  auto life = std::make_unique<SchedulerLife>();
  SqliteStoreOptions options{
      .dir = dir_ / "store", .threads = false, .watch_disk_space = false};
  absl::StatusOr<std::unique_ptr<Store>> store =
      OpenSqliteStore(*scheduler_executor_, pool_, clock, random, options);
  ASSERT_TRUE(store.ok()) << store.status();
  life->store = *std::move(store);
  life->scheduler = std::make_unique<Scheduler>(*scheduler_executor_, clock,
                                                random, *life->store);
  scheduler_ = std::move(life);
  bool ready = false;
  scheduler_->scheduler->Start([&](absl::Status status) {
    EXPECT_TRUE(status.ok()) << status;
    ready = true;
  });
  time.RunUntilIdle();
  EXPECT_TRUE(ready);
  Trace("scheduler started");
}

void World::CrashScheduler() {
  Trace("scheduler crashed");
  scheduler_executor_->Stop();
  scheduler_.reset();
  ++counts.scheduler_crashes;
}

// A request that arrives where no scheduler is, or that it does not live to
// run, is lost.
void World::PostToScheduler(const std::string& worker,
                            absl::AnyInvocable<void(Scheduler&)> call) {
  if (auto cut = cut_.find(worker); cut != cut_.end()) {
    cut->second.push_back(std::move(call));
    return;
  }
  if (scheduler_ == nullptr) return;
  Scheduler* scheduler = scheduler_->scheduler.get();
  scheduler_executor_->After(
      kLinkLatency,
      [scheduler, call = std::move(call)]() mutable { call(*scheduler); });
}

void World::StartWorker(const std::string& name, int capacity) {
  testing::FakeExecutor& executor = NewExecutor();
  worker_executors_[name] = &executor;
  auto life = std::make_unique<WorkerLife>();
  life->transport =
      std::make_unique<testing::FakeAgentsTransport>(*service, executor, name);
  AgentsClientOptions options;
  options.base_url = "https://agents.test";
  options.api_key = "key";
  life->client = std::make_unique<AgentsClient>(*life->transport, executor,
                                                clock, options);
  life->scheduler = std::make_unique<FlakyClient>(
      *this, executor,
      MakeDirectSchedulerClient(
          executor, [this, name](absl::AnyInvocable<void(Scheduler&)> call) {
            PostToScheduler(name, std::move(call));
          }));
  absl::StatusOr<ArtifactDirectory> directory =
      ArtifactDirectory::Open(dir_ / "artifacts");
  ASSERT_TRUE(directory.ok()) << directory.status();
  life->artifacts =
      MakeDirectoryArtifactStore(*std::move(directory), pool_, executor);
  WorkerParts parts{executor,         clock,
                    random,           *life->scheduler,
                    *life->artifacts, {{"default", life->client.get()}}};
  life->worker = std::make_unique<Worker>(
      std::move(parts),
      WorkerOptions{
          .description = name, .capacity = capacity, .limits = limits});
  Worker* worker = life->worker.get();
  executor.Post([worker] { worker->Start(); });
  workers_[name] = std::move(life);
  Trace(absl::StrCat("worker started ", name));
}

void World::CrashWorker(const std::string& name) {
  Trace(absl::StrCat("worker crashed ", name));
  worker_executors_[name]->Stop();
  workers_.erase(name);
  ++counts.worker_crashes;
}

void World::StallWorker(const std::string& name, bool stalled) {
  Trace(absl::StrCat(stalled ? "worker stalls " : "worker wakes ", name));
  worker_executors_[name]->SetStalled(stalled);
  if (stalled) ++counts.stalls;
}

void World::CutWorker(const std::string& name, bool cut) {
  Trace(absl::StrCat(cut ? "link cut " : "link whole ", name));
  if (cut) {
    cut_[name];
    ++counts.cuts;
    return;
  }
  auto waiting = cut_.extract(name);
  for (auto& call : waiting.mapped()) PostToScheduler(name, std::move(call));
}

void World::SubmitBatch(int tasks, int64_t budget, v1::StartMode start) {
  request_id_ = "sim-batch";
  std::vector<v1::SubmitBatchRequest> steps(3);
  for (v1::SubmitBatchRequest& step : steps) step.set_request_id(request_id_);
  v1::OpenBatch& open = *steps[0].mutable_open();
  open.set_name("night");
  open.set_budget_usd_micros(budget);
  v1::TaskSpec& spec = *open.mutable_spec();
  spec.mutable_agent()->set_definition_json(
      R"({"name":"sim","model":"claude-sonnet-5-5"})");
  spec.set_prompt("Do {{what}}.");
  spec.mutable_expect()->add_files("result.json");
  spec.set_start(start);
  for (int i = 0; i < tasks; ++i) {
    v1::TaskLine& line = *steps[1].mutable_chunk()->add_lines();
    line.set_name(absl::StrCat("task-", i));
    (*line.mutable_parameters())["what"] = absl::StrCat("number ", i);
  }
  steps[2].mutable_seal()->set_lines(tasks);
  for (const v1::SubmitBatchRequest& step : steps) {
    std::optional<absl::Status> status;
    scheduler_->scheduler->SubmitBatchStep(
        step, [&](absl::StatusOr<v1::SubmitBatchResponse> response) {
          status = response.status();
        });
    time.RunUntilIdle();
    ASSERT_TRUE(status.has_value() && status->ok());
  }
}

void World::SetBudget(v1::BudgetScope scope, int64_t limit) {
  v1::SetBudgetRequest request;
  request.mutable_key()->set_scope(scope);
  request.mutable_key()->set_name("default");
  request.mutable_key()->set_window(v1::BUDGET_WINDOW_TOTAL);
  request.set_limit_usd_micros(limit);
  std::optional<absl::Status> status;
  scheduler_->scheduler->SetBudget(
      request, [&](absl::StatusOr<v1::SetBudgetResponse> response) {
        status = response.status();
      });
  time.RunUntilIdle();
  ASSERT_TRUE(status.has_value() && status->ok());
}

void World::AnswerSome(double likelihood) {
  if (scheduler_ == nullptr) return;
  TaskFilter waiting{.states = {v1::TASK_STATE_WAITING}};
  auto tasks = Read<RowPage<TaskRecord>>(
      [&](StoreReader& reader) { return reader.ListTasks(waiting, 0, 1000); });
  const Ids ids(scheduler_->store->cluster());
  for (const TaskRecord& task : tasks.rows) {
    for (const v1::Question& question : task.questions) {
      if (random.Fraction() >= likelihood) continue;
      v1::AnswerTaskRequest request;
      request.set_task_id(ids.Format(task.key));
      request.set_question_id(question.question_id());
      request.set_approve(true);
      scheduler_->scheduler->AnswerTask(
          request, [](absl::StatusOr<v1::AnswerTaskResponse> response) {
            EXPECT_TRUE(response.ok()) << response.status();
          });
    }
  }
  time.RunUntilIdle();
}

template <typename T>
T World::Read(absl::AnyInvocable<absl::StatusOr<T>(StoreReader&)> work) {
  std::optional<absl::StatusOr<T>> result;
  scheduler_->store->Read<T>(
      std::move(work), [&](absl::StatusOr<T> r) { result = std::move(r); });
  time.RunUntilIdle();
  EXPECT_TRUE(result.has_value() && result->ok());
  return result.has_value() && result->ok() ? **std::move(result) : T();
}

BatchRecord World::Batch() {
  return Read<RowPage<BatchRecord>>([](StoreReader& reader) {
           return reader.ListBatches({.name = "night"}, INT64_MAX, 1);
         })
      .rows.at(0);
}

std::vector<TaskRecord> World::Tasks() {
  return Read<RowPage<TaskRecord>>([](StoreReader& reader) {
           return reader.ListTasks({}, 0, 1'000'000);
         })
      .rows;
}

std::vector<BudgetRecord> World::Budgets() {
  return Read<RowPage<BudgetRecord>>([this](StoreReader& reader) {
           return reader.ListBudgets(clock.Now(), 0, 100);
         })
      .rows;
}

int World::Sweeps() {
  return static_cast<int>(Read<RowPage<JournalRecord>>([](StoreReader& reader) {
                            return reader.ListMoney(
                                {.kinds = {JournalKind::kSwept}}, 0, 1'000);
                          }).rows.size());
}

std::vector<JournalRecord> World::Journal() {
  int64_t batch = Batch().key.row;
  return Read<std::vector<JournalRecord>>([batch](StoreReader& reader) {
    return reader.ListJournal(batch, 0, 10'000'000);
  });
}

void World::CheckAlways() {
  CheckBudgets();
  for (const auto& [attempt, sessions] : ByAttempt(*service)) {
    int charged = 0;
    for (const testing::FakeSessionView& session : sessions) {
      charged += session.charged ? 1 : 0;
    }
    EXPECT_LE(charged, 1) << "attempt " << attempt << " was paid twice";
  }
}

void World::CheckBudgets() {
  if (scheduler_ == nullptr) return;
  for (const BudgetRecord& budget : Budgets()) {
    SCOPED_TRACE(absl::StrCat("budget ", budget.id));
    EXPECT_LE(budget.charged, budget.limit + budget.over);
    // It held when each of them was admitted, and only overshoot adds to it.
    EXPECT_LE(budget.charged + budget.reserved, budget.limit + budget.over);
    EXPECT_GE(budget.reserved, 0);
    if (budget.tasks_wait) ++counts.budget_waits;
  }
}

void World::CheckJournal(const std::vector<JournalRecord>& journal) {
  struct Live {
    int64_t holder = 0;
    int32_t attempt = 0;
    std::string session;
    std::set<std::string> cleared;
  };
  std::map<int64_t, Live> live;
  for (const JournalRecord& entry : journal) {
    if (!entry.task) continue;
    SCOPED_TRACE(absl::StrCat("journal ", entry.seq, ", ", entry.task_name));
    Live& task = live[entry.task->row];
    switch (entry.kind) {
      case JournalKind::kGranted:
        EXPECT_EQ(entry.attempt, task.attempt + 1);
        EXPECT_EQ(task.holder, 0) << "granted twice";
        task = {entry.who, entry.attempt, "", {}};
        break;
      case JournalKind::kAdopted:
        EXPECT_EQ(entry.attempt, task.attempt);
        EXPECT_EQ(task.holder, 0) << "adopted while it was held";
        task.holder = entry.who;
        break;
      case JournalKind::kAdjusted:
        // Of an attempt that is over; another may be on.
        EXPECT_EQ(entry.who, 0);
        EXPECT_LE(entry.attempt, task.attempt);
        break;
      default:
        EXPECT_EQ(entry.who, task.holder) << "written by one without a lease";
        EXPECT_EQ(entry.attempt, task.attempt);
    }
    switch (entry.kind) {
      case JournalKind::kSessionRecorded:
        EXPECT_EQ(task.session, "") << "a second session was recorded";
        EXPECT_FALSE(task.cleared.contains(entry.why))
            << "a cleared session came back";
        task.session = entry.why;
        break;
      case JournalKind::kSessionCleared:
        EXPECT_EQ(task.session, entry.why);
        task.session.clear();
        task.cleared.insert(entry.why);
        break;
      case JournalKind::kHandedBack:
        // Nobody drains, so that would be a worker at a loss.
        ADD_FAILURE() << "handed back";
        [[fallthrough]];
      case JournalKind::kFreed:
      case JournalKind::kHeld:
      case JournalKind::kParked:
      case JournalKind::kRetry:
      case JournalKind::kSettled:
        task.holder = 0;
        break;
      default:
        break;
    }
  }
}

void World::CheckAtEnd(int tasks) {
  CheckAlways();
  CheckJournal(Journal());
  BatchRecord batch = Batch();
  EXPECT_EQ(batch.state, v1::BATCH_STATE_DONE);
  EXPECT_EQ(batch.counts[v1::TASK_STATE_SUCCEEDED], tasks);
  EXPECT_EQ(batch.reserved, 0);

  int64_t reserved = 0, charged = 0;
  std::map<int64_t, int> settles;
  for (const JournalRecord& entry : Journal()) {
    reserved += entry.reserve_delta;
    charged += entry.charge_delta;
    if (entry.kind == JournalKind::kSettled) ++settles[entry.task->row];
  }
  EXPECT_EQ(reserved, batch.reserved) << "the journal and the balance differ";
  EXPECT_EQ(charged, batch.charged) << "the journal and the balance differ";
  for (const BudgetRecord& budget : Budgets()) {
    EXPECT_EQ(budget.reserved, reserved) << "budget " << budget.id;
    EXPECT_EQ(budget.charged, charged) << "budget " << budget.id;
  }
  EXPECT_EQ(settles.size(), static_cast<size_t>(tasks));
  for (const auto& [task, times] : settles) {
    EXPECT_EQ(times, 1) << "task " << task;
  }

  int64_t cost = 0;
  for (const testing::FakeSessionView& session : service->Sessions()) {
    cost += session.cost_cents * 10'000;
    EXPECT_LE(session.user_messages.size(), 1u)
        << session.id << " was sent its first message twice";
    EXPECT_NE(session.status, "running") << session.id << " still spends";
    EXPECT_TRUE(session.archived) << session.id << " is left behind";
  }
  EXPECT_EQ(cost, batch.charged) << "the service's sum and ours differ";
  for (const TaskRecord& task : Tasks()) {
    EXPECT_EQ(task.state, v1::TASK_STATE_SUCCEEDED) << task.name;
    EXPECT_EQ(task.ending.outputs_size(), 1) << task.name;
    EXPECT_EQ(task.ending.final_message(), "Done.") << task.name;
  }
}

void World::Trace(absl::string_view line) {
  trace_.Update(absl::StrCat(absl::ToInt64Microseconds(time.Elapsed()), " "));
  trace_.Update(line);
  trace_.Update("\n");
}

std::string World::TraceHash() {
  for (const JournalRecord& entry : Journal()) {
    trace_.Update(absl::StrCat(entry.seq, " ", absl::ToUnixMicros(entry.at),
                               " ", static_cast<int>(entry.kind), " ",
                               entry.task_name, " ", entry.attempt, " ",
                               entry.charge_delta, " ", entry.why, "\n"));
  }
  for (const testing::FakeSessionView& session : service->Sessions()) {
    for (const std::string& event : service->History(session.id)) {
      trace_.Update(event);
    }
  }
  return trace_.FinishHex();
}

}  // namespace midwatch::sim
