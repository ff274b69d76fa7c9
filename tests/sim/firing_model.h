// The night's schedule, which may be deleted and made again: each of its times
// is one whole batch, or a firing that says why not.
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
  // After each commit, when its rows are folded.
  void Committed(Sqlite& queue);
  // A client was told that the schedule has another rhythm.
  void NoMoreTimes() { ended_ = true; }
  // A client was told that it is deleted.
  void Deleted() { ++deletes_told_; }
  // A client was told that it fired this batch by hand.
  void Acknowledged(int64_t batch) { told_.insert(batch); }

  // Nothing of it is under way. Only while the database is there.
  static bool IsQuiet(Sqlite& queue);
  void AtEnd(Sqlite& queue);

 private:
  struct Batch {
    std::string name;
    size_t life = 0;  // of the schedule, from 1
    bool done = false;
    int fired = 0;  // how often it was the batch of a firing
  };

  // From when on no time of it fires, until before when.
  struct Pause {
    absl::Time from, until = absl::InfiniteFuture();
    bool ended = false;
  };

  // From when it is made until it is deleted.
  struct Life {
    // When it was made, and when its times ended.
    absl::Time from, to = absl::InfiniteFuture();
    std::vector<Pause> pauses;
    std::set<absl::Time> dues;  // that a firing is of
    bool sums_up = false;       // one of them stands for others, too
  };

  void Open(const JournalRow& row, Sqlite& queue);
  void Change(const JournalRow& row);
  void Delete(const JournalRow& row);
  static bool Paused(const Life& life, absl::Time due, absl::Duration before);
  void CheckFiring(const SqliteStatement& row) const;
  void CheckTimes(const Life& life);
  void CheckGone(Sqlite& queue);

  JournalModel::Report report_;
  Counts& counts_;
  std::map<int64_t, Batch> batches_;
  std::set<int64_t> told_;
  std::vector<Life> lives_;
  bool is_there_ = false;    // the last of them goes on
  int64_t last_firing_ = 0;  // of it that was read
  int deletes_ = 0, deletes_told_ = 0;
  bool ended_ = false;
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_FIRING_MODEL_H_
