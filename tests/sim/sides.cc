#include "tests/sim/sides.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace midwatch::sim {
namespace {

// What is not there within this is not waited for.
constexpr absl::Duration kLooksFor = absl::Minutes(10);
constexpr uint64_t kSidesClientSeed = 0x73696465;  // "side"

// False where it has none.
bool ForgetNeeds(v1::TaskLine& line) {
  const bool any = !line.needs().empty();
  line.clear_needs();
  line.clear_inputs();
  line.clear_on_need_failure();
  return any;
}

// Of the step's lines.
bool ForgetNeeds(v1::SubmitBatchRequest& step) {
  if (!step.has_chunk()) return false;
  bool any = false;
  for (v1::TaskLine& line : *step.mutable_chunk()->mutable_lines()) {
    any |= ForgetNeeds(line);
  }
  return any;
}

// It would be refused for ever: the client takes that for an answer.
bool IsFinal(const absl::Status& status) {
  return absl::IsFailedPrecondition(status) || absl::IsNotFound(status) ||
         absl::IsInvalidArgument(status) || absl::IsAlreadyExists(status);
}

}  // namespace

SideClients::SideClients(World& world, const Story& story)
    : world_(world),
      dice_(story.seed ^ kSidesClientSeed),
      deaths_(story.sides.deaths) {
  const Sides& sides = story.sides;
  if (sides.batches == 0) return;
  const absl::Duration start = absl::Seconds(5), end = absl::Minutes(5);
  Plan(sides.batches, start, end, &SideClients::Submit);
  Plan(sides.cancels, start, end, &SideClients::Cancel);
  Plan(sides.batch_retries, start, 2 * end, &SideClients::RetryBatch);
  Plan(sides.task_retries, start, 2 * end, &SideClients::RetryTask);
  Plan(sides.deletes, start, 2 * end, &SideClients::Delete);
  Plan(sides.singles, start, 2 * end, &SideClients::SubmitSingle);
  Plan(sides.single_cancels, start, 2 * end, &SideClients::CancelSingle);
  Plan(sides.single_retries, start, 3 * end, &SideClients::RetrySingle);
  Plan(sides.single_changes, start, 2 * end, &SideClients::ChangeSingle);
}

int SideClients::Pick(int low, int high) {
  return low +
         static_cast<int>(dice_.Next() % static_cast<uint64_t>(high - low + 1));
}

void SideClients::Plan(int how_many, absl::Duration from, absl::Duration to,
                       void (SideClients::*ask)(Errand&)) {
  for (int number = 0; number < how_many; ++number) {
    auto errand = std::make_unique<Errand>();
    errand->at = from + (to - from) * dice_.Fraction();
    errand->number = static_cast<int>(errands_.size());
    errand->insists = OneIn(2);
    errand->ask = [this, ask](Errand& it) { (this->*ask)(it); };
    errands_.push_back(std::move(errand));
  }
}

void SideClients::Tick() {
  if (errands_.empty() || !world_.scheduler_up()) return;
  const absl::Duration now = world_.time.Elapsed();
  for (const auto& errand : errands_) {
    if (errand->done || now < std::max(errand->at, errand->again)) continue;
    if (errand->asked == world_.scheduler_lives()) continue;
    errand->asked = world_.scheduler_lives();
    errand->ask(*errand);
    world_.time.RunUntilIdle();
    if (!world_.scheduler_up()) return;
  }
}

bool SideClients::Done() const {
  return std::all_of(errands_.begin(), errands_.end(), [](const auto& errand) {
    return errand->done || errand->waits;
  });
}

bool SideClients::AllDeleted() const {
  return std::all_of(errands_.begin(), errands_.end(),
                     [](const auto& errand) { return errand->done; });
}

void SideClients::After(Errand& errand, const absl::Status& status) {
  errand.asked = 0;
  if (status.ok() || IsFinal(status)) {
    errand.done = true;
  } else {
    errand.again = world_.time.Elapsed() + absl::Seconds(2);
  }
}

// ---- Submits ----

std::string SideClients::SomeTask() {
  if (!singles_.empty() && OneIn(3)) {
    return singles_[static_cast<size_t>(dice_.Next()) % singles_.size()];
  }
  if (targets_.empty()) return "";
  const Target& other = targets_[static_cast<size_t>(
      Pick(0, static_cast<int>(targets_.size()) - 1))];
  auto tasks = world_.reader().ListTasks({.batch = other.row}, 0, 1000);
  if (!tasks.ok() || tasks->rows.empty()) return "";
  const auto& task =
      tasks->rows[static_cast<size_t>(dice_.Next()) % tasks->rows.size()];
  return Ids(world_.cluster()).Format(task.key);
}

void SideClients::AddNeed(int line, v1::TaskLine& added) {
  std::string name;
  if (line > 0 && OneIn(2)) {
    name = absl::StrCat("side-", Pick(std::max(0, line - 3), line - 1));
    added.add_needs()->set_name(name);
  } else {
    name = SomeTask();
    if (name.empty()) return;
    for (const v1::Need& need : added.needs()) {
      if (need.task_id() == name) return;
    }
    added.add_needs()->set_task_id(name);
  }
  if (added.on_need_failure() == v1::NEED_POLICY_RUN_ANYWAY) return;
  v1::Input& input = *added.add_inputs();
  input.set_from(name);
  input.set_path("result.json");
  input.set_mount(absl::StrCat("of-", name));
}

v1::TaskLine SideClients::Line(int number, int line) {
  v1::TaskLine added;
  added.set_name(absl::StrCat("side-", line));
  (*added.mutable_parameters())["what"] =
      absl::StrCat("side ", number, ", line ", line);
  if (OneIn(4)) added.set_prompt("Do {{what}} all by itself.");
  if (OneIn(3)) {
    added.set_on_need_failure(OneIn(3) ? v1::NEED_POLICY_RUN_ANYWAY
                                       : v1::NEED_POLICY_SKIP);
    AddNeed(line, added);
    if (OneIn(2)) AddNeed(line, added);
    if (added.needs().empty()) added.clear_on_need_failure();
  }
  return added;
}

void SideClients::Write(Errand& errand) {
  const std::string name = absl::StrCat("side-", errand.number);
  v1::SubmitBatchRequest& open = errand.steps.emplace_back();
  open.mutable_open()->set_name(name);
  v1::TaskSpec& spec = *open.mutable_open()->mutable_spec();
  spec.mutable_agent()->set_definition_json(
      R"({"name":"sim","model":"claude-sonnet-5-5"})");
  spec.set_prompt("Do {{what}}.");
  world_.SetExpectation(spec);
  spec.mutable_retry()->set_max_failures(Pick(1, 2));
  if (world_.sends_hooks && OneIn(2)) {
    const std::string url = "https://hooks.test/side";
    if (OneIn(2)) spec.mutable_deadline()->set_seconds(Pick(10, 200));
    open.mutable_open()->mutable_on_finish()->set_url(url);
    open.mutable_open()->mutable_on_risk()->set_url(url);
  }
  if (OneIn(3)) open.mutable_open()->set_budget_usd_micros(20'000'000);
  v1::TaskChunk& chunk = *errand.steps.emplace_back().mutable_chunk();
  const int lines = OneIn(4) ? Pick(15, 40) : Pick(1, 10);
  for (int line = 0; line < lines; ++line) {
    *chunk.add_lines() = Line(errand.number, line);
  }
  errand.steps.emplace_back().mutable_seal()->set_lines(lines);
  for (v1::SubmitBatchRequest& step : errand.steps) step.set_request_id(name);
}

void SideClients::Submit(Errand& errand) {
  // The story's batch comes first.
  if (world_.Batch().key.row == 0 &&
      !world_.checks.deletions().IsDeleted(Checks::kStorysBatch)) {
    errand.asked = 0;
    return;
  }
  if (errand.steps.empty()) Write(errand);
  world_.scheduler().SubmitBatchStep(
      errand.steps[static_cast<size_t>(errand.step)],
      [this, &errand](const absl::StatusOr<v1::SubmitBatchResponse>& response) {
        errand.asked = 0;
        if (!response.ok()) {
          v1::SubmitBatchRequest& step =
              errand.steps[static_cast<size_t>(errand.step)];
          // What it needed may be deleted since.
          if (IsFinal(response.status()) && ForgetNeeds(step)) return;
          return After(errand, response.status());
        }
        if (errand.step == 0) {
          errand.id = response->batch_id();
          auto key = Ids(world_.cluster()).Parse("batch_id", errand.id);
          if (key.ok()) targets_.push_back({errand.id, key->row});
        }
        tasks_ +=
            errand.steps[static_cast<size_t>(errand.step)].chunk().lines_size();
        if (++errand.step == static_cast<int>(errand.steps.size())) {
          errand.done = true;
        }
      });
}

// ---- Single tasks ----

void SideClients::WriteSingle(Errand& errand) {
  errand.single.set_request_id(absl::StrCat("single-", errand.number));
  v1::TaskSpec& spec = *errand.single.mutable_spec();
  spec.mutable_agent()->set_definition_json(
      R"({"name":"sim","model":"claude-sonnet-5-5"})");
  spec.set_prompt("Do {{what}}.");
  world_.SetExpectation(spec);
  spec.mutable_retry()->set_max_failures(Pick(1, 2));
  v1::TaskLine& line = *errand.single.mutable_line();
  line.set_name(errand.single.request_id());
  (*line.mutable_parameters())["what"] = line.name();
  if (OneIn(3)) (*line.mutable_labels())["of"] = absl::StrCat(Pick(1, 3));
  if (OneIn(5)) line.mutable_delay()->set_seconds(Pick(1, 120));
  if (OneIn(5)) line.mutable_expires_after()->set_seconds(Pick(5, 200));
  if (OneIn(5)) {
    spec.mutable_unique()->set_key(absl::StrCat("single-", Pick(1, 3)));
    if (OneIn(2)) {
      spec.mutable_unique()->mutable_held_for()->set_seconds(Pick(5, 4000));
    }
  }
  if (!OneIn(4)) return;
  if (OneIn(3)) line.set_on_need_failure(v1::NEED_POLICY_RUN_ANYWAY);
  AddNeed(0, line);
  if (line.needs().empty()) line.clear_on_need_failure();
}

void SideClients::SubmitSingle(Errand& errand) {
  if (errand.single.request_id().empty()) WriteSingle(errand);
  world_.scheduler().SubmitTask(
      errand.single,
      [this, &errand](const absl::StatusOr<v1::SubmitTaskResponse>& response) {
        errand.asked = 0;
        if (response.ok()) return HearOfSingle(errand, response->task_id());
        const absl::Status& status = response.status();
        if (errand.row != 0) {  // said again
          if (absl::IsFailedPrecondition(status)) {
            world_.checks.singles().ToldDeleted(errand.row);
            world_.counts.Add("requests of deleted tasks refused");
          }
          return After(errand, status);
        }
        // What it needed may be deleted since.
        if (IsFinal(status) && ForgetNeeds(*errand.single.mutable_line())) {
          return;
        }
        After(errand, status);
      });
}

// Some are said again, soon or once they may be deleted. Who holds a key
// answers for others, once.
void SideClients::HearOfSingle(Errand& errand, const std::string& id) {
  auto key = Ids(world_.cluster()).Parse("task_id", id);
  if (!key.ok()) return;
  if (errand.row != 0 && errand.row != key->row) {
    world_.checks.Report(kKept,
                         absl::StrCat(errand.single.request_id(), " was task ",
                                      errand.row, ", and is ", key->row));
  }
  world_.checks.AfterCommit();
  world_.checks.singles().ToldOf(key->row);
  const bool first = errand.row == 0;
  errand.row = key->row;
  errand.done = !first || errand.single.spec().has_unique() || OneIn(2);
  if (first) singles_.push_back(id);
  if (errand.done) return;
  errand.waits = OneIn(2);
  errand.again =
      world_.time.Elapsed() + (errand.waits ? absl::Minutes(Pick(90, 150))
                                            : absl::Seconds(Pick(1, 300)));
}

void SideClients::CancelSingle(Errand& errand) {
  if (singles_.empty()) {
    LookAgain(errand);
    return;
  }
  v1::CancelTaskRequest request;
  request.set_task_id(
      singles_[static_cast<size_t>(dice_.Next()) % singles_.size()]);
  world_.scheduler().CancelTask(
      request,
      [this, &errand](const absl::StatusOr<v1::CancelTaskResponse>& response) {
        if (response.ok()) world_.counts.Add("single tasks cancelled");
        After(errand, response.status());
      });
}

// One that waits, or another.
void SideClients::ChangeSingle(Errand& errand) {
  if (singles_.empty()) {
    LookAgain(errand);
    return;
  }
  v1::UpdateTaskRequest request;
  request.set_task_id(
      singles_[static_cast<size_t>(dice_.Next()) % singles_.size()]);
  request.set_priority(Pick(0, 9));
  if (OneIn(2)) {
    (*request.mutable_set_labels())["of"] = absl::StrCat(Pick(1, 3));
  } else {
    request.add_remove_labels("of");
  }
  (*request.mutable_set_labels())["changed"] = absl::StrCat(errand.number);
  if (OneIn(2)) request.mutable_deadline()->set_seconds(Pick(0, 600));
  world_.scheduler().UpdateTask(
      request,
      [this, &errand](const absl::StatusOr<v1::UpdateTaskResponse>& response) {
        if (response.ok()) world_.counts.Add("single tasks changed");
        if (IsFinal(response.status())) {
          LookAgain(errand);
          return;
        }
        After(errand, response.status());
      });
}

// One that is over by then, or another.
void SideClients::RetrySingle(Errand& errand) {
  if (errand.id.empty() && singles_.empty()) {
    LookAgain(errand);
    return;
  }
  if (errand.id.empty()) {
    errand.id = singles_[static_cast<size_t>(dice_.Next()) % singles_.size()];
  }
  v1::RetryTaskRequest request;
  request.set_task_id(errand.id);
  request.set_request_id(absl::StrCat("single-again-", errand.number));
  world_.scheduler().RetryTask(
      request,
      [this, &errand](const absl::StatusOr<v1::RetryTaskResponse>& response) {
        if (IsFinal(response.status())) {
          errand.id.clear();
          LookAgain(errand);
          return;
        }
        After(errand, response.status());
        if (!response.ok()) return;
        world_.counts.Add("single tasks tried again");
        singles_.push_back(response->task_id());
      });
}

// ---- What is done to them ----

// In a while, but not for ever.
bool SideClients::LookAgain(Errand& errand) {
  const absl::Duration now = world_.time.Elapsed();
  errand.asked = 0;
  errand.again = now + absl::Seconds(10);
  errand.done = now > errand.at + kLooksFor;
  return false;
}

bool SideClients::Choose(Errand& errand) {
  if (!errand.id.empty()) return true;
  const BatchRecord& story = world_.Batch();
  if (story.key.row != 0 && OneIn(6)) {
    errand.id = Ids(world_.cluster()).Format(story.key);
    errand.row = story.key.row;
    return true;
  }
  if (targets_.empty()) return LookAgain(errand);
  const Target& target =
      targets_[static_cast<size_t>(dice_.Next()) % targets_.size()];
  errand.id = target.id;
  errand.row = target.row;
  return true;
}

void SideClients::Cancel(Errand& errand) {
  if (!Choose(errand)) return;
  // Others cancel its tasks.
  if (errand.row == Checks::kStorysBatch) {
    errand.done = true;
    return;
  }
  v1::CancelBatchRequest request;
  request.set_batch_id(errand.id);
  world_.scheduler().CancelBatch(
      request,
      [this, &errand](const absl::StatusOr<v1::CancelBatchResponse>& response) {
        if (response.ok()) world_.counts.Add("side batches cancelled");
        After(errand, response.status());
      });
}

void SideClients::RetryBatch(Errand& errand) {
  if (!Choose(errand)) return;
  // Its retry would have its name, by which the story's is known.
  if (errand.row == Checks::kStorysBatch) {
    errand.id.clear();
    LookAgain(errand);
    return;
  }
  v1::RetryBatchRequest request;
  request.set_batch_id(errand.id);
  request.set_request_id(absl::StrCat("again-", errand.number));
  request.set_cancelled_too(errand.insists);
  world_.scheduler().RetryBatch(
      request,
      [this, &errand](const absl::StatusOr<v1::RetryBatchResponse>& response) {
        // Of this one nothing is to be tried again, or not yet: another one.
        if (absl::IsFailedPrecondition(response.status())) {
          errand.id.clear();
          LookAgain(errand);
          return;
        }
        After(errand, response.status());
        if (!response.ok()) return;
        errand.done = !response->more();
        if (!errand.done) return;
        world_.counts.Add("batches tried again");
        const std::string& id = response->batch().batch_id();
        auto key = Ids(world_.cluster()).Parse("batch_id", id);
        if (key.ok()) targets_.push_back({id, key->row});
      });
}

bool SideClients::ChooseTask(Errand& errand) {
  if (!errand.id.empty()) return true;
  TaskFilter final{.states = {v1::TASK_STATE_SUCCEEDED, v1::TASK_STATE_FAILED,
                              v1::TASK_STATE_CANCELLED,
                              v1::TASK_STATE_SKIPPED}};
  auto tasks = world_.reader().ListTasks(final, 0, 1000);
  if (!tasks.ok() || tasks->rows.empty()) return LookAgain(errand);
  const TaskRecord& task =
      tasks->rows[static_cast<size_t>(dice_.Next()) % tasks->rows.size()];
  errand.id = Ids(world_.cluster()).Format(task.key);
  return true;
}

void SideClients::RetryTask(Errand& errand) {
  if (!ChooseTask(errand)) return;
  v1::RetryTaskRequest request;
  request.set_task_id(errand.id);
  request.set_request_id(absl::StrCat("task-again-", errand.number));
  world_.scheduler().RetryTask(
      request,
      [this, &errand](const absl::StatusOr<v1::RetryTaskResponse>& response) {
        if (response.ok()) world_.counts.Add("tasks tried again");
        After(errand, response.status());
      });
}

void SideClients::Delete(Errand& errand) {
  if (!Choose(errand)) return;
  v1::DeleteBatchRequest request;
  request.set_batch_id(errand.id);
  request.set_reason("the dice");
  // Once: it is asked for again.
  if (errand.step++ == 0 && dice_.Fraction() < deaths_) {
    world_.KillSchedulerSoon(Pick(1, 12),
                             OneIn(2) ? Death::kPowerLoss : Death::kKilled);
  }
  world_.scheduler().DeleteBatch(
      request,
      [this, &errand](const absl::StatusOr<v1::DeleteBatchResponse>& response) {
        const absl::Status& status = response.status();
        errand.waits = absl::IsFailedPrecondition(status) && errand.insists;
        if (errand.waits) {
          errand.asked = 0;
          errand.again = world_.time.Elapsed() +
                         absl::Seconds(5) * std::min(60, errand.step);
        } else {
          After(errand, status);
        }
        if (absl::IsFailedPrecondition(status)) {
          world_.counts.Add("deletions refused");
        }
        if (!status.ok() && !absl::IsNotFound(status)) return;
        errand.done = absl::IsNotFound(status) || !response->more();
        if (errand.done) world_.checks.deletions().Acknowledged(errand.row);
      });
}

}  // namespace midwatch::sim
