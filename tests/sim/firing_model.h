// The night's schedule: each of its times is one whole batch, or a firing that
// says why not.
#ifndef MIDWATCH_TESTS_SIM_FIRING_MODEL_H_
#define MIDWATCH_TESTS_SIM_FIRING_MODEL_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/sqlite.h"
#include "tests/sim/counts.h"
#include "tests/sim/journal_model.h"
#include "tests/sim/story.h"

namespace midwatch::sim {

inline constexpr char kTimetable[] = "timetable";

class FiringModel {
 public:
  // `counts` outlives it.
  FiringModel(JournalModel::Report report, Counts& counts)
      : report_(std::move(report)), counts_(counts) {}

  Timetable times;
  // The wall clock may be set: what was due when cannot be said.
  bool clock_stepped = false;

  // Each row once, while what it tells of is there.
  void Fold(const JournalRow& row, Sqlite& queue);
  // A client was told that the schedule has another rhythm.
  void NoMoreTimes() { ended_ = true; }
  // A client was told that it fired this batch by hand.
  void Acknowledged(int64_t batch) { told_.insert(batch); }

  // Nothing of it is under way. Only while the database is there.
  static bool IsQuiet(Sqlite& queue);
  void AtEnd(Sqlite& queue);

 private:
  struct Batch {
    std::string name;
    bool done = false;
    int fired = 0;  // firings that have it
  };

  // From when on no time of it fires, until before when.
  struct Pause {
    absl::Time from, until = absl::InfiniteFuture();
    bool ended = false;
  };

  void Open(const JournalRow& row, Sqlite& queue);
  void Change(const JournalRow& row);
  bool Paused(absl::Time due, absl::Duration before) const;
  void CheckFiring(const SqliteStatement& row);
  void CheckTimes();

  JournalModel::Report report_;
  Counts& counts_;
  std::map<int64_t, Batch> batches_;
  std::set<absl::Time> dues_;  // that a firing is of
  std::set<int64_t> told_;
  std::vector<Pause> pauses_;
  // When it was made, and when its times ended; and the first firing that
  // stands for others, too.
  absl::Time from_ = absl::InfiniteFuture(), to_ = absl::InfinitePast();
  bool ended_ = false, sums_up_ = false;
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_FIRING_MODEL_H_
