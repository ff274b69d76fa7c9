// What a person sees of a batch on its way, as lines of text: a pure function
// of one moment and of the terminal's size.
#ifndef MIDWATCH_CLI_LIVE_VIEW_H_
#define MIDWATCH_CLI_LIVE_VIEW_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "midwatch/v1/batch_service.pb.h"

namespace midwatch::cli {

struct LiveMoment {
  v1::TaskCounts counts;
  int64_t charged_usd_micros = 0;
  // About what runs has cost so far.
  int64_t estimated_usd_micros = 0;
  absl::Duration elapsed;
  // Unset: too little has ended to tell.
  std::optional<absl::Duration> left;
  std::optional<double> ends_per_minute;
  std::optional<int64_t> median_usd_micros;
  // What all of it will cost, by the forecast. Unset: there is none.
  std::optional<int64_t> foretold_usd_micros;
  // Set while the scheduler is out of reach.
  std::optional<absl::Duration> lost_for;

  // Why what is queued does not start. Printable, on one line each.
  std::vector<std::string> holds;

  // Requests of a class that is limited.
  struct Rate {
    std::string what;  // "creates"
    int accepted = 0;  // in the last minute
    double allowed_per_minute = 0;
    bool lowered = false;  // under the limit: the service accepts less
    // Set while nothing is sent, after a refusal.
    std::optional<absl::Duration> rests_for;
  };
  std::vector<Rate> rates;

  // Texts are printable and on one line.
  struct Running {
    std::string name;
    absl::Duration time;  // since it was granted
    std::string doing;    // its last event; empty: none yet
  };
  // The longest first, at least as many as fit.
  std::vector<Running> running;

  // One cause: tasks that failed of it, and attempts that are made again.
  struct Trouble {
    int64_t failed = 0;
    int64_t retried = 0;
    std::string cause;
  };
  // The latest first.
  std::vector<Trouble> troubles;
};

// How many of a terminal's columns the view takes. Terminals that are narrowed
// break wider lines in two, and some of them (tmux) push as many rows at the
// top into their history, from where nothing takes them back. Lines that the
// narrower terminal still holds stay whole: so a margin is left, which holds
// while a border is dragged and the view is drawn again on the way, and from
// 161 columns on half of them, for a window that is split.
int LiveWidth(int columns);

// At most `height` lines of at most `width` columns each. What matters less is
// left out first: with few rows the rates, then the tasks that run, then the
// failures.
std::vector<std::string> RenderLive(const LiveMoment& moment, int width,
                                    int height, bool colours);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_LIVE_VIEW_H_
