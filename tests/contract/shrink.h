// Delta debugging: what of a failing list is enough to fail, and how simple it
// may be.
#ifndef MIDWATCH_TESTS_CONTRACT_SHRINK_H_
#define MIDWATCH_TESTS_CONTRACT_SHRINK_H_

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace midwatch::testing {

// Leaves out halves, then quarters, down to single ones, for as long as `fails`
// says that the rest still does. No single one can be left out of the result.
template <typename T, typename F>
std::vector<T> Shrink(std::vector<T> failing, F fails) {
  size_t width = failing.size();
  while (width > 0) {
    bool shorter = false;
    // From the end: what comes later depends on what came before.
    for (size_t end = failing.size(); end > 0;) {
      const size_t begin = end - std::min(width, end);
      std::vector<T> rest(failing.begin(), failing.begin() + begin);
      rest.insert(rest.end(), failing.begin() + end, failing.end());
      if (fails(rest)) {
        failing = std::move(rest);
        shorter = true;
      }
      end = begin;
    }
    if (width > 1) {
      width = (width + 1) / 2;
    } else if (!shorter) {
      width = 0;
    }
  }
  return failing;
}

// Puts simpler ones in the places of those that are left, for as long as it
// still fails. `simpler` names those to try for one, and comes to an end.
template <typename T, typename S, typename F>
std::vector<T> Simplify(std::vector<T> failing, S simpler, F fails) {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < failing.size(); ++i) {
      for (const T& each : simpler(failing[i])) {
        std::vector<T> other = failing;
        other[i] = each;
        if (!fails(other)) continue;
        failing = std::move(other);
        changed = true;
        break;
      }
    }
  }
  return failing;
}

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_CONTRACT_SHRINK_H_
