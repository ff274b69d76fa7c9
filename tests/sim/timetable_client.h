// Who has a schedule in a night: makes it, fires it by hand, pauses and resumes
// it, deletes it and makes it again; and deletes it in the end, or gives it
// another rhythm, so that the night has one.
#ifndef MIDWATCH_TESTS_SIM_TIMETABLE_CLIENT_H_
#define MIDWATCH_TESTS_SIM_TIMETABLE_CLIENT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/random.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/story.h"

namespace midwatch::sim {

class TimetableClient {
 public:
  // `world` outlives it.
  TimetableClient(World& world, const Story& story);

  // Once a second: asks what is to be asked, until it is answered.
  void Tick();
  bool Done() const;

 private:
  struct Wish {
    absl::Duration at;
    enum { kMake, kRun, kPause, kResume, kDelete, kEnd } what = kMake;
    size_t after = 0;          // the wish that is done first
    std::string id;            // of a run
    absl::Duration ends_in{};  // of a pause that ends by itself
    bool done = false;
    int asked = 0;  // the scheduler's life that was asked; 0: none
    int tries = 0;
    absl::Duration again;  // not before this
  };

  void Ask(Wish& wish);
  void Put(Wish& wish);
  void Run(Wish& wish);
  void Pause(Wish& wish);
  void Resume(Wish& wish);
  void Delete(Wish& wish);
  void After(Wish& wish, const absl::Status& status);
  bool MayAsk(const Wish& wish) const;
  void DieSometimes();

  World& world_;
  const Timetable times_;
  SeededRandom dice_;
  std::vector<Wish> wishes_;
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_TIMETABLE_CLIENT_H_
