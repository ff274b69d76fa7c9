// What other clients do in a night beside its batch: see story.h's Sides. Each
// goes on asking until it is answered, whoever was killed meanwhile, and goes
// by the answer.
#ifndef MIDWATCH_TESTS_SIM_SIDES_H_
#define MIDWATCH_TESTS_SIM_SIDES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/random.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/story.h"

namespace midwatch::sim {

class SideClients {
 public:
  // `world` outlives it, and asks nothing of it.
  SideClients(World& world, const Story& story);

  // Once a second: asks what is to be asked.
  void Tick();
  // All is answered, but for deletions of what has to stay yet.
  bool Done() const;
  // These too, and what is said again later.
  bool AllDeleted() const;
  // Lines of side batches that were acknowledged.
  int64_t tasks() const { return tasks_; }

 private:
  // A batch that somebody may do something to.
  struct Target {
    std::string id;
    int64_t row = 0;
  };
  struct Errand {
    absl::Duration at;
    std::function<void(Errand&)> ask;
    bool done = false;
    bool waits = false;    // a deletion, until what it would delete may go; a
                           // submission, until it is said again
    bool insists = false;  // it waits for that, and for ever
    int asked = 0;         // the scheduler's life that was asked; 0: none
    absl::Duration again;  // not before this
    int step = 0, number = 0;
    std::string id;  // of the batch or the task that it is about
    int64_t row = 0;
    std::vector<v1::SubmitBatchRequest> steps;
    v1::SubmitTaskRequest single;
  };

  void Plan(int how_many, absl::Duration from, absl::Duration to,
            void (SideClients::*ask)(Errand&));
  void Submit(Errand& errand);
  void Write(Errand& errand);
  v1::TaskLine Line(int number, int line);
  void AddNeed(int line, v1::TaskLine& added);
  // Some task that was submitted; "": there is none.
  std::string SomeTask();
  void SubmitSingle(Errand& errand);
  void WriteSingle(Errand& errand);
  void HearOfSingle(Errand& errand, const std::string& id);
  void CancelSingle(Errand& errand);
  void RetrySingle(Errand& errand);
  void ChangeSingle(Errand& errand);
  void Cancel(Errand& errand);
  void RetryBatch(Errand& errand);
  void RetryTask(Errand& errand);
  void Delete(Errand& errand);
  // Chooses the batch that the errand is about, once; false where there is
  // none yet.
  bool Choose(Errand& errand);
  bool ChooseTask(Errand& errand);
  bool LookAgain(Errand& errand);
  // Whoever is refused for now asks again.
  void After(Errand& errand, const absl::Status& status);
  int Pick(int low, int high);
  bool OneIn(int n) { return Pick(1, n) == 1; }

  World& world_;
  SeededRandom dice_;
  const double deaths_;
  std::vector<std::unique_ptr<Errand>> errands_;
  std::vector<Target> targets_;
  std::vector<std::string> singles_;
  int64_t tasks_ = 0;
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_SIDES_H_
