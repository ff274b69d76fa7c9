#ifndef MIDWATCH_TESTS_HARNESS_PROCESSES_H_
#define MIDWATCH_TESTS_HARNESS_PROCESSES_H_

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace midwatch::harness {

// How many processes of this machine have `marker` in their command line.
inline int ProcessesWith(const std::string& marker) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    int pid;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    std::ifstream file(entry.path() / "cmdline");
    std::string text(std::istreambuf_iterator<char>(file), {});
    if (absl::StrContains(text, marker)) ++count;
  }
  return count;
}

}  // namespace midwatch::harness

#endif  // MIDWATCH_TESTS_HARNESS_PROCESSES_H_
