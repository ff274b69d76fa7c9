// What the journal says, row by row, and what it must not say. Shares nothing
// with the code that writes it but the names of its kinds.
#ifndef MIDWATCH_TESTS_SIM_JOURNAL_MODEL_H_
#define MIDWATCH_TESTS_SIM_JOURNAL_MODEL_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "absl/time/time.h"
#include "store/records.h"

namespace midwatch::sim {

struct JournalRow {
  int64_t seq = 0;
  absl::Time at;
  JournalKind kind{};
  int64_t batch = 0, task = 0;
  int32_t attempt = 0;
  v1::TaskState state = v1::TASK_STATE_UNSPECIFIED;
  int64_t who = 0;
  int64_t reserved = 0, charged = 0, over = 0;  // changes of
  v1::FailureClass failure = v1::FAILURE_CLASS_UNSPECIFIED;
  std::string why;

  friend bool operator==(const JournalRow&, const JournalRow&) = default;
};

// For people.
std::string Describe(const JournalRow& row);

// A task as the journal tells it.
struct TaskStory {
  int64_t holder = 0;  // the worker with the lease; 0: nobody
  int32_t attempt = 0;
  bool on = false;  // the attempt is
  bool started = false;
  std::string session;  // of the attempt; "": none
  std::set<std::string> cleared;
  bool cancel_asked = false;
  bool over = false, succeeded = false, expired = false;
  int failures = 0;
};

// What is set aside, and what was paid, as the journal's changes add up to.
struct JournalMoney {
  int64_t reserved = 0, charged = 0, over = 0;

  friend bool operator==(const JournalMoney&, const JournalMoney&) = default;
};

// For people.
std::string Describe(const JournalMoney& money);

class JournalModel {
 public:
  // Told of each breach: one of violation.h's names, and what it is.
  using Report = std::function<void(const char* invariant, std::string what)>;
  explicit JournalModel(Report report) : report_(std::move(report)) {}

  void Fold(const JournalRow& row);

  const JournalRow& last() const { return last_; }
  const JournalMoney& money() const { return money_; }
  // Of one batch; 0: of tasks without one.
  JournalMoney MoneyOf(int64_t batch) const;
  const std::map<int64_t, TaskStory>& tasks() const { return tasks_; }
  // The attempt that has this session and is on; null where there is none.
  const TaskStory* Holding(const std::string& session, int64_t* task) const;

 private:
  void FoldTask(const JournalRow& row);
  void CheckWriter(const JournalRow& row, const TaskStory& task);
  void EndAttempt(TaskStory& task);

  Report report_;
  JournalRow last_;
  JournalMoney money_;
  std::map<int64_t, JournalMoney> by_batch_;
  std::map<int64_t, TaskStory> tasks_;
  std::map<std::string, int64_t> by_session_;
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_JOURNAL_MODEL_H_
