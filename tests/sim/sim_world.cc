#include "tests/sim/sim_world.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/end_process.h"
#include "base/log.h"
#include "node/direct_scheduler_client.h"
#include "scheduler/deleted_sweep.h"
#include "store/prediction.h"
#include "tests/sim/violation.h"

namespace midwatch::sim {
namespace {

constexpr char kSchedulerMachine[] = "scheduler";
constexpr char kServiceMachine[] = "service";
constexpr char kBatch[] = "night";
// From a millisecond to this, by the dice: so messages overtake each other.
constexpr absl::Duration kLinkLatencyMax = absl::Milliseconds(4);
// Of steps that were acknowledged, how many are said again.
constexpr double kStepsAgain = 0.1;

HttpRequest PostTo(const std::string& path) {
  HttpRequest request;
  request.method = "POST";
  request.url = absl::StrCat("https://agents.test/v1/", path);
  request.headers = {{"x-api-key", "key"}, {"anthropic-beta", "managed"}};
  return request;
}

// A batch that is done is held back no more. The answer may come after whoever
// asked has gone on, as where the disk is full meanwhile.
template <typename Response>
Reply<Response> NoteWhetherDone(std::shared_ptr<bool> done) {
  return [done](const absl::StatusOr<Response>& response) {
    *done = response.ok() || absl::IsFailedPrecondition(response.status());
  };
}

}  // namespace

std::unique_ptr<testing::FakeAgentsService> World::MakeService(
    testing::FakeAgentsOptions options) {
  SetLogSink([this](LogLevel, absl::string_view line) { Trace(line); });
  SetEndProcess([](absl::string_view) { throw testing::NodeEnded(); });
  return std::make_unique<testing::FakeAgentsService>(
      NewExecutor(), ClockOf(kServiceMachine), options);
}

World::World(uint64_t seed, testing::FakeAgentsOptions service_options)
    : random(seed),
      service(MakeService(service_options)),
      checks(time, *service) {
  time.after_task = [this] { AfterTask(); };
}

World::~World() {
  time.after_task = nullptr;
  while (!workers_.empty()) KillWorker(workers_.begin()->first);
  if (scheduler_ != nullptr) KillScheduler();
  service.reset();  // before the executors that it knows
  SetEndProcess(nullptr);
  SetLogSink(nullptr);
}

testing::FakeExecutor& World::NewExecutor() {
  executors_.push_back(std::make_unique<testing::FakeExecutor>(time));
  return *executors_.back();
}

testing::FakeClock& World::ClockOf(const std::string& machine) {
  std::unique_ptr<testing::FakeClock>& clock = clocks_[machine];
  if (clock == nullptr) clock = std::make_unique<testing::FakeClock>(time);
  return *clock;
}

// ---- Nodes ----

bool World::StartScheduler() {
  auto life = std::make_unique<SchedulerLife>();
  life->executor = &NewExecutor();
  testing::FakeClock& clock = ClockOf(kSchedulerMachine);
  SqliteStoreOptions options{.dir = dir_ / "store",
                             .threads = false,
                             .vfs = disk.vfs(),
                             .watch_disk_space = false};
  absl::StatusOr<std::unique_ptr<SqliteStore>> store =
      OpenSqliteStore(*life->executor, pool_, clock, random, options);
  if (!store.ok()) {
    Trace(absl::StrCat("scheduler cannot start: ", store.status().message()));
    if (disk.power_is_off()) {
      counts.Add("power losses");
      disk.LosePower();
    } else {
      disk.KillProcess();
    }
    return false;
  }
  life->store = *std::move(store);
  SchedulerOptions scheduler_options;
  if (sends_hooks) {
    life->hooks = hook_endpoint.MakeTransport(*life->executor);
    scheduler_options.hooks = {.transport = life->hooks.get(),
                               .keys = {{"default", "a key of this night"}}};
  }
  scheduler_options.retention = {.batches = retention,
                                 .tasks = single_retention};
  life->scheduler =
      std::make_unique<Scheduler>(*life->executor, clock, random, *life->store,
                                  std::move(scheduler_options));
  scheduler_ = std::move(life);
  ++lives_;
  if (!OpenViews()) {
    KillScheduler();
    return false;
  }
  std::optional<absl::Status> ready;
  scheduler_->scheduler->Start(
      [&](absl::Status status) { ready = std::move(status); });
  time.RunUntilIdle();
  if (!ready.has_value() || !ready->ok()) {
    Trace("scheduler cannot go on");
    if (scheduler_ != nullptr) KillScheduler();
    return false;
  }
  Trace("scheduler is up");
  return true;
}

// Of the process that runs now: they die with it.
bool World::OpenViews() {
  SqliteOptions options{
      .read_only = true, .cache_kib = 1024, .vfs = disk.vfs()};
  auto open = [&](const char* name) {
    return Sqlite::Open(dir_ / "store" + "/" + name, options);
  };
  auto queue = open("queue.db"), events = open("events.db"),
       queue2 = open("queue.db"), events2 = open("events.db");
  if (!queue.ok() || !events.ok() || !queue2.ok() || !events2.ok()) {
    return false;
  }
  checks.Opened(*std::move(queue), *std::move(events));
  reader_ =
      std::make_unique<SqliteReader>(*std::move(queue2), *std::move(events2));
  return true;
}

void World::KillScheduler(Death death) {
  Trace(death == Death::kPowerLoss ? "scheduler loses power"
                                   : "scheduler is killed");
  counts.Add(death == Death::kPowerLoss ? "power losses" : "scheduler kills");
  scheduler_doom_.reset();
  step_under_way_ = false;
  scheduler_->executor->Stop();
  if (death == Death::kPowerLoss) {
    disk.LosePower();
  } else {
    disk.KillProcess();
  }
  checks.Closed();
  reader_.reset();
  batch_.reset();
  scheduler_.reset();
}

void World::KillSchedulerSoon(int tasks, Death death) {
  scheduler_doom_ = Doom{tasks, death};
}

void World::LetSchedulerLive() {
  scheduler_doom_.reset();
  if (!disk.power_is_off()) disk.KeepPower();
}

// Whatever always holds holds now, and whoever is to die does.
void World::AfterTask() {
  if (scheduler_ != nullptr && disk.power_is_off()) {
    KillScheduler(Death::kPowerLoss);
  } else if (scheduler_ != nullptr && scheduler_->executor->stopped()) {
    counts.Add("schedulers that ended themselves");
    KillScheduler();
  }
  if (scheduler_ != nullptr && disk.counts().syncs != checked_syncs_) {
    checked_syncs_ = disk.counts().syncs;
    checks.AfterCommit();
  }
  if (scheduler_doom_ && --scheduler_doom_->tasks <= 0) {
    const Death death = scheduler_doom_->death;
    scheduler_doom_.reset();
    if (scheduler_ != nullptr) KillScheduler(death);
  }
  for (auto it = worker_doom_.begin(); it != worker_doom_.end();) {
    if (--it->second > 0) {
      ++it;
      continue;
    }
    const std::string name = it->first;
    it = worker_doom_.erase(it);
    if (workers_.contains(name)) KillWorker(name);
  }
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
  scheduler_->executor->After(
      absl::Milliseconds(1) + kLinkLatencyMax * random.Fraction(),
      [scheduler, call = std::move(call)]() mutable { call(*scheduler); });
}

void World::StartWorker(const std::string& name, int capacity) {
  auto life = std::make_unique<WorkerLife>();
  life->executor = &NewExecutor();
  testing::FakeExecutor& executor = *life->executor;
  testing::FakeClock& clock = ClockOf(name);
  life->transport =
      std::make_unique<testing::FakeAgentsTransport>(*service, executor, name);
  AgentsClientOptions options;
  options.base_url = "https://agents.test";
  options.api_key = "key";
  life->client = std::make_unique<AgentsClient>(*life->transport, executor,
                                                clock, options);
  life->scheduler = MakeFlakyClient(
      executor, random, flakiness, counts,
      MakeDirectSchedulerClient(
          executor, [this, name](absl::AnyInvocable<void(Scheduler&)> call) {
            PostToScheduler(name, std::move(call));
          }));
  absl::StatusOr<ArtifactDirectory> directory =
      ArtifactDirectory::Open(artifacts_dir());
  life->artifacts =
      MakeDirectoryArtifactStore(*std::move(directory), pool_, executor);
  WorkerParts parts{executor,         clock,
                    random,           *life->scheduler,
                    *life->artifacts, {{"default", life->client.get()}}};
  if (checks_outputs) {
    life->looker = MakeOutputLooker(executor, random);
    parts.checks = {{kOutputLooker, life->looker.get()}};
  }
  life->worker = std::make_unique<Worker>(
      std::move(parts),
      WorkerOptions{
          .description = name, .capacity = capacity, .limits = limits});
  Worker* worker = life->worker.get();
  executor.Post([worker] { worker->Start(); });
  workers_[name] = std::move(life);
  Trace(absl::StrCat(name, " starts"));
}

void World::KillWorker(const std::string& name) {
  Trace(absl::StrCat(name, " is killed"));
  counts.Add("worker kills");
  worker_doom_.erase(name);
  workers_[name]->executor->Stop();
  workers_.erase(name);
}

void World::KillWorkerSoon(const std::string& name, int tasks) {
  worker_doom_[name] = tasks;
}

void World::StallWorker(const std::string& name, bool stalled) {
  auto it = workers_.find(name);
  if (it == workers_.end()) return;
  Trace(absl::StrCat(name, stalled ? " stands still" : " goes on"));
  it->second->executor->SetStalled(stalled);
  if (stalled) counts.Add("worker stalls");
}

void World::CutWorker(const std::string& name, bool cut) {
  Trace(absl::StrCat(name, cut ? " is cut off" : " is connected again"));
  if (cut) {
    cut_[name];
    counts.Add("links cut");
    return;
  }
  auto waiting = cut_.extract(name);
  if (waiting.empty()) return;
  for (auto& call : waiting.mapped()) PostToScheduler(name, std::move(call));
}

void World::DrainWorker(const std::string& name) {
  auto it = workers_.find(name);
  if (it == workers_.end()) return;
  Trace(absl::StrCat(name, " drains"));
  counts.Add("worker drains");
  Worker* worker = it->second->worker.get();
  it->second->executor->Post([this, worker, name] {
    // It is gone in the next task, as a process is that exits.
    worker->Drain([this, name] { worker_doom_[name] = 1; });
  });
}

// ---- Users ----

namespace {

// With what its tasks left, where they succeeded for sure.
void AddNeeds(const TaskNeeds& needs, v1::TaskLine& line) {
  for (int needed : needs.lines) {
    const std::string name = absl::StrCat("task-", needed);
    line.add_needs()->set_name(name);
    if (needs.policy != v1::NEED_POLICY_SKIP) continue;
    v1::Input& input = *line.add_inputs();
    input.set_from(name);
    input.set_path("result.json");
    input.set_mount(name);
    line.set_prompt(
        absl::StrCat("Do {{what}} with {{tasks.", name, ".message}}."));
  }
  if (needs.all) {
    line.add_needs()->set_all_earlier(true);
    line.set_prompt("Do {{what}} with {{tasks.all.messages}}.");
  }
  if (line.needs_size() > 0) line.set_on_need_failure(needs.policy);
}

void AddStart(const TaskStart& start, v1::TaskLine& line) {
  // Equal for the tasks that share one, and empty for none: its own name.
  (*line.mutable_parameters())["key"] =
      start.key > 0 ? absl::StrCat("key-", start.key) : line.name();
  if (start.delay > absl::ZeroDuration()) {
    line.mutable_delay()->set_seconds(absl::ToInt64Seconds(start.delay));
  }
  if (start.expires_after > absl::ZeroDuration()) {
    line.mutable_expires_after()->set_seconds(
        absl::ToInt64Seconds(start.expires_after));
  }
}

void AddRules(const Story& rules, v1::OpenBatch& open) {
  if (rules.canary > 0) {
    v1::Canary& canary = *open.mutable_canary();
    canary.set_tasks(rules.canary);
    canary.set_min_success(rules.canary_tenths / 10.0);
    canary.set_max_cost_usd_micros(rules.canary_cents * int64_t{10'000});
  }
  if (rules.stop_failed > 0) {
    open.mutable_stop_when()->set_failed(rules.stop_failed);
  }
  if (rules.stop_tenths > 0) {
    open.mutable_stop_when()->set_failed_ratio(rules.stop_tenths / 10.0);
    open.mutable_stop_when()->set_after(rules.stop_after);
  }
  if (rules.max_failures > 0) {
    open.mutable_spec()->mutable_retry()->set_max_failures(rules.max_failures);
  }
}

}  // namespace

void World::SetExpectation(v1::TaskSpec& spec) const {
  v1::Expectation& expect = *spec.mutable_expect();
  expect.add_files("result.json");
  if (!checks_outputs) return;
  v1::JsonCheck& json = *expect.add_json();
  json.set_path("result.json");
  json.set_schema(R"({"type": "object"})");
  expect.set_check(kOutputLooker);
}

void World::BeginSubmit(const BatchPlan& plan, int lines_a_step) {
  checks.SetNeeds(plan.needs);
  checks.SetStarts(plan.starts);
  checks.SetRules(plan.rules);
  v1::SubmitBatchRequest open;
  open.mutable_open()->set_name(kBatch);
  open.mutable_open()->set_budget_usd_micros(plan.budget);
  AddRules(plan.rules, *open.mutable_open());
  if (plan.hooks) {
    for (v1::Hook* hook : {open.mutable_open()->mutable_on_finish(),
                           open.mutable_open()->mutable_on_failure(),
                           open.mutable_open()->mutable_on_risk()}) {
      hook->set_url("https://hooks.test/night");
    }
  }
  open.mutable_open()->set_max_running(plan.max_running);
  v1::TaskSpec& spec = *open.mutable_open()->mutable_spec();
  spec.mutable_agent()->set_definition_json(
      R"({"name":"sim","model":"claude-sonnet-5-5"})");
  spec.set_prompt("Do {{what}}.");
  SetExpectation(spec);
  spec.set_start(plan.start);
  if (plan.deadline > absl::ZeroDuration()) {
    spec.mutable_deadline()->set_seconds(absl::ToInt64Seconds(plan.deadline));
  }
  if (!plan.starts.empty()) spec.mutable_unique()->set_key("{{key}}");
  if (plan.answer_within > absl::ZeroDuration()) {
    spec.mutable_answer_within()->set_seconds(
        absl::ToInt64Seconds(plan.answer_within));
  }
  steps_ = {open};
  for (int line = 0; line < plan.tasks; ++line) {
    if (line % lines_a_step == 0) {
      steps_.emplace_back().mutable_chunk()->set_first_line(line);
    }
    v1::TaskLine& added = *steps_.back().mutable_chunk()->add_lines();
    added.set_name(absl::StrCat("task-", line));
    (*added.mutable_parameters())["what"] = absl::StrCat("number ", line);
    if (!plan.needs.empty()) {
      AddNeeds(plan.needs[static_cast<size_t>(line)], added);
    }
    if (!plan.starts.empty()) {
      AddStart(plan.starts[static_cast<size_t>(line)], added);
    }
  }
  steps_.emplace_back().mutable_seal()->set_lines(plan.tasks);
  for (v1::SubmitBatchRequest& step : steps_)
    step.set_request_id(plan.request_id);
  step_ = 0;
}

void World::SayStep() {
  const v1::SubmitBatchRequest& step = steps_[step_];
  step_under_way_ = true;
  scheduler_->scheduler->SubmitBatchStep(
      step, [this, number = step_](
                const absl::StatusOr<v1::SubmitBatchResponse>& response) {
        step_under_way_ = false;
        if (!response.ok()) {
          Trace(absl::StrCat("step ", number,
                             " of the submit: ", response.status().message()));
          counts.Add("submits refused for now");
          return;
        }
        if (number != step_) return;
        acknowledged_lines_ += steps_[number].chunk().lines_size();
        checks.Acknowledged(acknowledged_lines_);
        // Unheard, sometimes.
        if (random.Fraction() >= kStepsAgain) {
          ++step_;
        } else {
          acknowledged_lines_ -= steps_[number].chunk().lines_size();
          counts.Add("submits said again");
        }
      });
}

void World::GoOnSubmitting() {
  if (scheduler_ == nullptr || step_under_way_ || submitted()) return;
  SayStep();
  time.RunUntilIdle();
}

void World::SubmitBatch(const BatchPlan& plan) {
  BeginSubmit(plan, 10'000);
  while (!submitted()) GoOnSubmitting();
}

v1::BudgetKey World::BudgetKeyOf(v1::BudgetScope scope) {
  v1::BudgetKey key;
  key.set_scope(scope);
  key.set_name(scope == v1::BUDGET_SCOPE_BATCH ? BatchId() : "default");
  key.set_window(v1::BUDGET_WINDOW_TOTAL);
  return key;
}

bool World::SetBudget(v1::BudgetScope scope, int64_t limit) {
  if (scheduler_ == nullptr) return false;
  const bool gone = checks.deletions().IsDeleted(Checks::kStorysBatch);
  if (scope == v1::BUDGET_SCOPE_BATCH && gone) return true;
  auto done = std::make_shared<bool>(false);
  v1::SetBudgetRequest request;
  *request.mutable_key() = BudgetKeyOf(scope);
  request.set_limit_usd_micros(limit);
  scheduler_->scheduler->SetBudget(
      request,
      [this, done](const absl::StatusOr<v1::SetBudgetResponse>& response) {
        *done = response.ok();
        // A disk that is full, or fails, is asked again.
        const absl::StatusCode code = response.status().code();
        if (code == absl::StatusCode::kInvalidArgument ||
            code == absl::StatusCode::kFailedPrecondition) {
          checks.Report(kProgress, absl::StrCat("budget refused: ",
                                                response.status().message()));
        }
      });
  time.RunUntilIdle();
  return *done;
}

// What is gone is deleted: somebody else's deletion of the batch, or an answer
// that its scheduler did not live to give.
bool World::DeleteBudget(v1::BudgetScope scope) {
  if (scheduler_ == nullptr) return false;
  if (scope == v1::BUDGET_SCOPE_BATCH && BatchId().empty()) return false;
  auto done = std::make_shared<bool>(false);
  v1::DeleteBudgetRequest request;
  *request.mutable_key() = BudgetKeyOf(scope);
  scheduler_->scheduler->DeleteBudget(
      request,
      [done](const absl::StatusOr<v1::DeleteBudgetResponse>& response) {
        *done = response.ok() || absl::IsNotFound(response.status());
      });
  time.RunUntilIdle();
  return *done;
}

void World::AnswerSome(double likelihood) {
  if (scheduler_ == nullptr) return;
  if (!checks.AnyWaits()) return;
  TaskFilter waiting{.states = {v1::TASK_STATE_WAITING}};
  auto tasks = reader_->ListTasks(waiting, 0, 1000);
  if (!tasks.ok()) return;
  const Ids ids(scheduler_->store->cluster());
  for (const TaskRecord& task : tasks->rows) {
    for (const v1::Question& question : task.questions) {
      if (random.Fraction() >= likelihood) continue;
      v1::AnswerTaskRequest request;
      request.set_task_id(ids.Format(task.key));
      request.set_question_id(question.question_id());
      request.set_approve(true);
      scheduler_->scheduler->AnswerTask(
          request,
          [this](const absl::StatusOr<v1::AnswerTaskResponse>& response) {
            counts.Add(response.ok() ? "answers accepted" : "answers refused");
          });
    }
  }
  time.RunUntilIdle();
}

bool World::OpenAccount() {
  if (scheduler_ == nullptr) return false;
  v1::ResumeAccountRequest request;
  request.set_name("default");
  bool opened = false;
  scheduler_->scheduler->ResumeAccount(
      request, [&](const absl::StatusOr<v1::ResumeAccountResponse>& response) {
        opened = response.ok();
      });
  time.RunUntilIdle();
  return opened;
}

std::string World::BatchId() {
  const BatchRecord batch = Batch();
  if (batch.key.row == 0) return "";
  return Ids(scheduler_->store->cluster()).Format(batch.key);
}

bool World::Pause(bool queue, absl::Duration lasts) {
  if (scheduler_ == nullptr || (!queue && BatchId().empty())) return false;
  auto done = std::make_shared<bool>(false);
  auto pause = [&](auto& request) {
    if (lasts == absl::InfiniteDuration()) return;
    *request.mutable_until() = ToTimestamp(ClockOf("scheduler").Now() + lasts);
  };
  if (queue) {
    v1::PauseQueueRequest request;
    request.set_name("default");
    pause(request);
    scheduler_->scheduler->PauseQueue(
        request, NoteWhetherDone<v1::PauseQueueResponse>(done));
  } else {
    v1::PauseBatchRequest request;
    request.set_batch_id(BatchId());
    pause(request);
    scheduler_->scheduler->PauseBatch(
        request, NoteWhetherDone<v1::PauseBatchResponse>(done));
  }
  time.RunUntilIdle();
  return *done;
}

bool World::Resume(bool queue) {
  if (scheduler_ == nullptr || (!queue && BatchId().empty())) return false;
  auto done = std::make_shared<bool>(false);
  if (queue) {
    v1::ResumeQueueRequest request;
    request.set_name("default");
    scheduler_->scheduler->ResumeQueue(
        request,
        [done](const absl::StatusOr<v1::ResumeQueueResponse>& response) {
          // Nobody heard of the pause either.
          *done = response.ok() || absl::IsNotFound(response.status());
        });
  } else {
    v1::ResumeBatchRequest request;
    request.set_batch_id(BatchId());
    scheduler_->scheduler->ResumeBatch(
        request, NoteWhetherDone<v1::ResumeBatchResponse>(done));
  }
  time.RunUntilIdle();
  return *done;
}

bool World::SetCap(v1::CapScope of, int cap) {
  if (scheduler_ == nullptr) return false;
  auto done = std::make_shared<bool>(false);
  Scheduler& scheduler = *scheduler_->scheduler;
  auto set = [&](auto request) {
    request.set_name("default");
    request.set_max_running(cap);
    return request;
  };
  if (of == v1::CAP_SCOPE_QUEUE) {
    scheduler.UpdateQueue(set(v1::UpdateQueueRequest()),
                          NoteWhetherDone<v1::UpdateQueueResponse>(done));
  } else if (of == v1::CAP_SCOPE_TENANT) {
    scheduler.UpdateTenant(set(v1::UpdateTenantRequest()),
                           NoteWhetherDone<v1::UpdateTenantResponse>(done));
  } else if (of == v1::CAP_SCOPE_ACCOUNT) {
    scheduler.UpdateAccount(set(v1::UpdateAccountRequest()),
                            NoteWhetherDone<v1::UpdateAccountResponse>(done));
  } else if (!BatchId().empty()) {
    v1::UpdateBatchRequest request;
    request.set_batch_id(BatchId());
    request.set_max_running(cap);
    scheduler.UpdateBatch(request,
                          NoteWhetherDone<v1::UpdateBatchResponse>(done));
  }
  time.RunUntilIdle();
  return *done;
}

void World::CancelOne() {
  if (scheduler_ == nullptr) return;
  TaskFilter filter{.batch = 1,
                    .states = {v1::TASK_STATE_BLOCKED, v1::TASK_STATE_QUEUED,
                               v1::TASK_STATE_RUNNING, v1::TASK_STATE_WAITING}};
  auto tasks = reader_->ListTasks(filter, 0, 1000);
  if (!tasks.ok() || tasks->rows.empty()) return;
  const TaskRecord& task = tasks->rows[random.Next() % tasks->rows.size()];
  v1::CancelTaskRequest request;
  request.set_task_id(Ids(scheduler_->store->cluster()).Format(task.key));
  request.set_reason("the dice");
  Trace(absl::StrCat("cancel of ", task.name));
  scheduler_->scheduler->CancelTask(
      request, [this](const absl::StatusOr<v1::CancelTaskResponse>& response) {
        counts.Add(response.ok() ? "cancels accepted" : "cancels refused");
      });
  time.RunUntilIdle();
}

void World::MakeStrangers() {
  auto make = [&](const std::string& path, const std::string& body) {
    const auto reply = service->Handle(PostTo(path), body, [](std::string) {});
    return reply.body.substr(reply.body.find("\"id\":\"") + 6);
  };
  auto id_in = [](const std::string& text) {
    return text.substr(0, text.find('"'));
  };
  const std::string agent = id_in(make("agents", "{}"));
  const std::string environment = id_in(make("environments", "{}"));
  for (
      const char* metadata :
      {R"({})",
       R"({"midwatch_cluster":"ffff.9","midwatch_task":"01ARZ3NDEKTSV4RRFFQ69G5FAV","midwatch_attempt":"1","midwatch_nonce":"aa"})",
       R"({"midwatch_cluster":"","midwatch_task":"none","midwatch_attempt":"1","midwatch_nonce":"00"})"}) {
    checks.AddStranger(id_in(
        make("sessions",
             absl::StrCat(R"({"agent":")", agent, R"(","environment_id":")",
                          environment, R"(","metadata":)", metadata, "}"))));
  }
}

// ---- What is there ----

BatchRecord World::Batch() {
  if (batch_ == std::nullopt || batch_syncs_ != disk.counts().syncs) {
    batch_syncs_ = disk.counts().syncs;
    auto page = reader_->ListBatches({.name = kBatch}, INT64_MAX, 1);
    batch_ = page.ok() && !page->rows.empty() ? page->rows[0] : BatchRecord();
  }
  return *batch_;
}

KindRecord World::Kind() {
  auto kind = reader_->ReadKind(KindOf(steps_.at(0).open().spec()));
  return kind.ok() ? *std::move(kind) : KindRecord();
}

bool World::Done() {
  return scheduler_ != nullptr && submitted() &&
         (Batch().state == v1::BATCH_STATE_DONE ||
          checks.deletions().IsDeleted(Checks::kStorysBatch));
}

void World::CheckAtEnd(int64_t tasks) {
  DropDeletedEvents();
  checks.AtEnd(tasks, ClockOf(kSchedulerMachine).Now());
  if (scheduler_ == nullptr) return;  // reported already
  checks.CheckHooks(cluster(), hook_endpoint.taken());
  if (checks.deletions().AnyDeleted() || checks.singles().AnyDeleted()) {
    SweepFiles();
  }
}

void World::DropDeletedEvents() {
  if (scheduler_ == nullptr) return;
  scheduler_->store->DropDeletedEvents(
      [this](const absl::StatusOr<int64_t>& dropped) {
        if (dropped.ok()) counts.Add("chunks of transcripts dropped", *dropped);
      });
  time.RunUntilIdle();
}

// Files are as old as the computer that plays this: every grace is over.
void World::SweepFiles() {
  absl::StatusOr<ArtifactDirectory> artifacts =
      ArtifactDirectory::Open(artifacts_dir());
  if (!artifacts.ok()) return;
  absl::StatusOr<int64_t> removed = SweepArtifacts(
      dir_ / "store", *artifacts, ClockOf(kSchedulerMachine).Now(),
      [] { return false; }, disk.vfs());
  if (!removed.ok()) {
    return checks.Report(kDeletes, std::string(removed.status().message()));
  }
  counts.Add("files swept", *removed);
  checks.CheckFiles(artifacts_dir());
}

std::vector<TaskRecord> World::Tasks() {
  auto page = reader_->ListTasks({.batch = 1}, 0, 1'000'000);
  return page.ok() ? page->rows : std::vector<TaskRecord>();
}

std::vector<JournalRecord> World::Journal() {
  auto journal = reader_->ListJournal(1, 0, 10'000'000);
  return journal.ok() ? *journal : std::vector<JournalRecord>();
}

void World::Trace(absl::string_view line) {
  trace_.Update(absl::StrCat(absl::ToInt64Microseconds(time.Elapsed()), " "));
  trace_.Update(line);
  trace_.Update("\n");
  if (on_trace) on_trace(time.Elapsed(), line);
}

std::string World::TraceHash() {
  if (reader_ != nullptr) {
    for (const JournalRecord& entry : Journal()) {
      trace_.Update(absl::StrCat(entry.seq, " ", absl::ToUnixMicros(entry.at),
                                 " ", static_cast<int>(entry.kind), " ",
                                 entry.task_name, " ", entry.attempt, " ",
                                 entry.charge_delta, " ", entry.why, "\n"));
    }
  }
  for (const testing::FakeSessionView& session : service->Sessions()) {
    for (const testing::FakeShown& event : service->Shown(session.id)) {
      trace_.Update(event.json);
    }
  }
  return trace_.FinishHex();
}

}  // namespace midwatch::sim
