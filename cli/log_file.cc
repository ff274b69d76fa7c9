#include "cli/log_file.h"

#include <cstdio>
#include <filesystem>
#include <memory>

#include "absl/time/time.h"
#include "base/log.h"
#include "base/real_clock.h"

namespace midwatch::cli {
namespace {

constexpr uintmax_t kFileBytesMax = 16 << 20;

}  // namespace

void LogToFile(const std::string& path) {
  std::error_code error;
  if (std::filesystem::file_size(path, error) > kFileBytesMax && !error) {
    std::filesystem::rename(path, path + ".old", error);
  }
  std::shared_ptr<std::FILE> file(std::fopen(path.c_str(), "ae"),
                                  [](std::FILE* f) {
                                    if (f != nullptr) std::fclose(f);
                                  });
  if (file == nullptr) return;  // then standard error stays
  // The log calls its sink under a lock.
  SetLogSink([file](LogLevel, absl::string_view line) {
    const std::string time = absl::FormatTime(
        "%Y-%m-%dT%H:%M:%E3SZ", RealClock().Now(), absl::UTCTimeZone());
    std::fprintf(file.get(), "%s %.*s\n", time.c_str(),
                 static_cast<int>(line.size()), line.data());
    std::fflush(file.get());
  });
}

}  // namespace midwatch::cli
