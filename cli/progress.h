// A batch on its way, as a person follows it: on a terminal a few lines that
// are rewritten (cli/live_view.h); elsewhere a line for each task that ends and
// one every few seconds.
#ifndef MIDWATCH_CLI_PROGRESS_H_
#define MIDWATCH_CLI_PROGRESS_H_

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/live_view.h"
#include "cli/pace.h"
#include "cli/terminal.h"
#include "midwatch/v1/batch_service.pb.h"

namespace midwatch::cli {

// Keeps what a refresh needs as the changes come, so that one costs the same
// with ten tasks as with a hundred thousand: it looks at the tasks that it
// shows, at a bounded number of causes, and at the batch's own counts.
class Progress {
 public:
  // All outlive it. For JSON it shows nothing and still counts.
  Progress(Terminal& terminal, const Clock& clock, const GlobalOptions& global);

  void Add(const v1::WatchBatchResponse& message);
  // A task of a batch that was on its way before it was followed.
  void AddKnown(const v1::Task& task);
  // Time that had passed before.
  void SetElapsedBefore(absl::Duration before) { elapsed_before_ = before; }
  void SetLostFor(std::optional<absl::Duration> lost) { lost_for_ = lost; }

  // The tasks that the view would show, as many as fit.
  std::vector<std::string> ShownTasks() const;
  // What the task is doing, in one printable line.
  void SetDoing(const std::string& task_id, const std::string& doing);
  // The batch's account as it is now, with its rates.
  void SetAccount(const v1::Account& account);

  // Call it several times a second.
  void Tick();
  // Takes the view away; or leaves its last state for those who scroll back.
  void Finish();
  void Keep();

  bool is_live() const { return !global_.json && terminal_.is_live(); }
  const v1::Batch& batch() const { return batch_; }
  absl::Duration elapsed() const {
    return elapsed_before_ + clock_.Steady() - begun_;
  }
  LiveMoment Moment(size_t running_max) const;

 private:
  // A task from its first grant on until it ends.
  struct Open {
    std::string name;
    v1::TaskState state = v1::TASK_STATE_UNSPECIFIED;
    absl::Duration since;   // its grant, on our steady clock
    absl::Time granted_at;  // its first one, on the scheduler's clock
    std::string doing;
    int64_t charged_usd_micros = 0;
    bool seen_whole = true;
  };
  using OpenTasks = std::map<std::string, Open>;
  struct Trouble {
    LiveMoment::Trouble counts;
    int64_t last = 0;  // rises with each
  };

  void AddChange(const v1::TaskChange& change);
  void Show(OpenTasks::iterator task, bool shown);
  void AddTrouble(const v1::TaskChange& change);
  // One line whenever the account is shut, or open again.
  void PrintAccount(const v1::Batch& batch);
  // One line whenever the batch or its queue is paused, or not any more.
  void PrintPauses(const v1::Batch& batch);
  // One line once its canary is decided.
  void PrintCanary(const v1::Batch& batch);
  void PrintState(const v1::TaskChange& change, const Open& task);
  std::vector<LiveMoment::Rate> Rates() const;
  std::string StatusLine() const;

  Terminal& terminal_;
  const Clock& clock_;
  const GlobalOptions& global_;
  const absl::Duration begun_;
  absl::Duration elapsed_before_;
  absl::Duration shown_at_;
  std::optional<absl::Duration> lost_for_;
  v1::Batch batch_;
  OpenTasks open_;
  // Those of open_ that a worker has or had: (since, id).
  std::set<std::pair<absl::Duration, std::string>> running_;
  Pace pace_;
  std::map<std::string, Trouble> troubles_;  // by cause
  int64_t troubles_seen_ = 0;
  v1::Account account_;
  absl::Duration account_at_;  // when it was so
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_PROGRESS_H_
