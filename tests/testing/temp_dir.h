#ifndef MIDWATCH_TESTS_TESTING_TEMP_DIR_H_
#define MIDWATCH_TESTS_TESTING_TEMP_DIR_H_

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace midwatch::testing {

// A new directory, removed with all that is in it.
class TempDir {
 public:
  TempDir() : TempDir(std::filesystem::temp_directory_path()) {}

  // In memory where the machine offers it: for tests that commit thousands of
  // times and prove nothing about the disk.
  static std::filesystem::path InMemory() {
    return std::filesystem::exists("/dev/shm")
               ? std::filesystem::path("/dev/shm")
               : std::filesystem::temp_directory_path();
  }
  explicit TempDir(const std::filesystem::path& parent) {
    std::string pattern = parent / "midwatch-test-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const {
    return path_ + "/" + name;
  }

 private:
  std::string path_;
};

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_TESTING_TEMP_DIR_H_
