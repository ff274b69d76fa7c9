#include "base/log.h"

#include <unistd.h>

#include <atomic>

#include "absl/strings/escaping.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "base/real_clock.h"

namespace midwatch {
namespace {

std::atomic<LogLevel> minimum{LogLevel::kInfo};

struct Sink {
  Mutex mutex;
  std::function<void(LogLevel, absl::string_view)> function
      ABSL_GUARDED_BY(mutex);
};

Sink& TheSink() {
  static Sink* sink = new Sink;
  return *sink;
}

bool IsPlain(const std::string& value) {
  if (value.empty()) return false;
  for (unsigned char c : value) {
    if (c <= ' ' || c == '"' || c == '\\' || c == 0x7f) return false;
  }
  return true;
}

}  // namespace

void Log(LogLevel level, absl::string_view message, LogFields fields) {
  if (level < minimum.load(std::memory_order_relaxed)) return;
  static constexpr char kLetters[] = "DIWE";
  std::string line(1, kLetters[static_cast<int>(level)]);
  absl::StrAppend(&line, " ", message);
  for (const LogField& field : fields) {
    absl::StrAppend(&line, " ", field.key, "=");
    if (IsPlain(field.value)) {
      absl::StrAppend(&line, field.value);
    } else {
      absl::StrAppend(&line, "\"", absl::Utf8SafeCEscape(field.value), "\"");
    }
  }
  Sink& sink = TheSink();
  MutexLock lock(sink.mutex);
  if (sink.function) {
    sink.function(level, line);
    return;
  }
  // One write, so that lines of several processes on one terminal stay whole.
  std::string stamped =
      absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", RealClock().Now(),
                                    absl::UTCTimeZone()),
                   " ", line, "\n");
  (void)!write(STDERR_FILENO, stamped.data(), stamped.size());
}

void SetLogLevel(LogLevel level) { minimum.store(level); }

void SetLogSink(std::function<void(LogLevel, absl::string_view)> sink) {
  Sink& the_sink = TheSink();
  MutexLock lock(the_sink.mutex);
  the_sink.function = std::move(sink);
}

}  // namespace midwatch
