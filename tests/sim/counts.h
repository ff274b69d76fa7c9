// What happened in a simulated night, by name, so that no night passes because
// nothing happened in it.
#ifndef MIDWATCH_TESTS_SIM_COUNTS_H_
#define MIDWATCH_TESTS_SIM_COUNTS_H_

#include <cstdint>
#include <map>
#include <string>

namespace midwatch::sim {

class Counts {
 public:
  void Add(const std::string& what, int64_t n = 1) { counts_[what] += n; }
  void Add(const Counts& other) {
    for (const auto& [what, n] : other.counts_) counts_[what] += n;
  }
  int64_t Of(const std::string& what) const {
    auto it = counts_.find(what);
    return it == counts_.end() ? 0 : it->second;
  }
  const std::map<std::string, int64_t>& all() const { return counts_; }

 private:
  std::map<std::string, int64_t> counts_;
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_COUNTS_H_
