#ifndef MIDWATCH_TESTS_SIM_WEATHER_H_
#define MIDWATCH_TESTS_SIM_WEATHER_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/story.h"

namespace midwatch::sim {

// What the service does of itself in a story: its turns, its limits, and what
// goes wrong with requests and streams while a fault of the story is on. Sets
// the hooks of the world's service; both outlive it.
class Weather {
 public:
  Weather(World& world, const Story& story);

  void Begin(const Fault& fault) { on_.push_back(&fault); }
  void End(const Fault& fault) { std::erase(on_, &fault); }

 private:
  // What the service accepts, as it counts: a token bucket.
  struct Limit {
    Limit(const char* of, int per_minute);
    const char* name;
    double per_second, burst, tokens;
    absl::Duration at;
  };

  testing::FakeTurn Roll(const testing::FakePrompt& prompt);
  // What is wrong with the turn's outputs, where it ends well; "": nothing.
  std::string SpoilOutputs(testing::FakeTurn& turn);
  testing::FakeFault Befall(const testing::FakeCall& call);
  void Apply(const Fault& fault, const testing::FakeCall& call,
             testing::FakeFault& what);
  testing::FakeStreamFault BefallStream();
  Limit& LimitOf(const std::string& operation);
  bool Accepts(Limit& limit);

  World& world_;
  const Story& story_;
  std::vector<const Fault*> on_;
  Limit writes_, reads_, files_;
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_WEATHER_H_
