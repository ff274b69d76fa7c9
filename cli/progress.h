// A batch on its way, as a person follows it: on a terminal one line that is
// rewritten, with failures above it; elsewhere a line for each task that ends
// and one every few seconds.
#ifndef MIDWATCH_CLI_PROGRESS_H_
#define MIDWATCH_CLI_PROGRESS_H_

#include <map>
#include <string>

#include "absl/time/time.h"
#include "base/clock.h"
#include "cli/export.h"
#include "cli/terminal.h"
#include "midwatch/v1/batch_service.pb.h"

namespace midwatch::cli {

class Progress {
 public:
  // Both outlive it. A `silent` one shows nothing and still counts.
  Progress(Terminal& terminal, const Clock& clock, bool silent);

  void Add(const v1::WatchBatchResponse& message);
  // Call it several times a second.
  void Tick();
  // Takes the status line away.
  void Finish();

  const v1::Batch& batch() const { return batch_; }
  absl::Duration elapsed() const { return clock_.Steady() - begun_; }

 private:
  void ShowChange(const v1::TaskChange& change);
  std::string StatusLine() const;

  Terminal& terminal_;
  const Clock& clock_;
  const bool silent_;
  const absl::Duration begun_;
  absl::Duration shown_at_;
  v1::Batch batch_;
  // Of tasks that run: when they began, and what they have cost.
  struct Running {
    absl::Time since;
    int64_t charged_usd_micros = 0;
  };
  std::map<std::string, Running> running_;
};

// What is said at the end: counts, cost, time, and failures by cause.
std::string Summary(const Terminal& terminal, const v1::Batch& batch,
                    const Outcome& outcome, absl::Duration elapsed);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_PROGRESS_H_
