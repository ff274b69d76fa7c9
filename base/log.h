// One line per state change, `key=value`, to standard error or wherever
// SetLogSink says. Never prompts, keys or tokens.
#ifndef MIDWATCH_BASE_LOG_H_
#define MIDWATCH_BASE_LOG_H_

#include <functional>
#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace midwatch {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// A field of a log line. Values with spaces, quotes or control characters are
// quoted and escaped.
struct LogField {
  LogField(absl::string_view k, absl::string_view v) : key(k), value(v) {}
  LogField(absl::string_view k, const char* v) : key(k), value(v) {}
  LogField(absl::string_view k, const std::string& v) : key(k), value(v) {}
  template <typename T>
  LogField(absl::string_view k, T v) : key(k), value(absl::StrCat(v)) {}
  std::string key;
  std::string value;
};

using LogFields = std::initializer_list<LogField>;

// Thread-safe.
void Log(LogLevel level, absl::string_view message, LogFields fields = {});
inline void LogDebug(absl::string_view message, LogFields fields = {}) {
  Log(LogLevel::kDebug, message, fields);
}
inline void LogInfo(absl::string_view message, LogFields fields = {}) {
  Log(LogLevel::kInfo, message, fields);
}
inline void LogWarning(absl::string_view message, LogFields fields = {}) {
  Log(LogLevel::kWarning, message, fields);
}
inline void LogError(absl::string_view message, LogFields fields = {}) {
  Log(LogLevel::kError, message, fields);
}

// Lines below `level` are dropped. The default is kInfo.
void SetLogLevel(LogLevel level);

// Receives each line, without its end, instead of standard error. The
// simulator and tests read them; `midwatch run` writes them to a file. An empty
// function restores standard error.
void SetLogSink(std::function<void(LogLevel, absl::string_view)> sink);

}  // namespace midwatch

#endif  // MIDWATCH_BASE_LOG_H_
