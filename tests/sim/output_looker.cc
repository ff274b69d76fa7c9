#include "tests/sim/output_looker.h"

#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace midwatch::sim {
namespace {

constexpr absl::Duration kLookTakes = absl::Seconds(20);  // at most

class OutputLooker final : public OutputCheck {
 public:
  OutputLooker(Executor& executor, SeededRandom& dice)
      : executor_(executor), dice_(dice) {}

  Async<CheckOutcome> Run(CheckCall call) override {
    using End = CheckOutcome::End;
    co_await Sleep(executor_, kLookTakes * dice_.Fraction());
    for (const auto& [name, path] : call.files) {
      std::ifstream file(path, std::ios::binary);
      const std::string text{std::istreambuf_iterator<char>(file),
                             std::istreambuf_iterator<char>()};
      if (!file) {
        co_return CheckOutcome{End::kNotRun, absl::StrCat("no file ", name)};
      }
      if (absl::StrContains(text, "bad")) {
        co_return CheckOutcome{End::kFailed, kLookerSays};
      }
    }
    co_return CheckOutcome{End::kPassed, ""};
  }

 private:
  Executor& executor_;
  SeededRandom& dice_;
};

}  // namespace

std::unique_ptr<OutputCheck> MakeOutputLooker(Executor& executor,
                                              SeededRandom& dice) {
  return std::make_unique<OutputLooker>(executor, dice);
}

}  // namespace midwatch::sim
