#include "cli/machine_check.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "harness/sandbox.h"

namespace midwatch::cli {
namespace {

namespace fs = std::filesystem;

constexpr double kGib = 1024.0 * 1024 * 1024;
// Databases, sockets, logs, artifacts: what a process opens beside its streams.
constexpr rlim_t kOtherFiles = 128;
// The store refuses new tasks below either (README.md).
constexpr double kFreeShareMin = 0.05;
constexpr double kFreeGibMin = 1;
constexpr int kFlushes = 200;
constexpr size_t kFlushBytes = 4096;
constexpr absl::Duration kSlowFlush = absl::Milliseconds(20);
constexpr absl::Duration kClockSlack = absl::Milliseconds(100);

std::string ReadFile(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string ErrnoText(const char* what, const std::string& path) {
  return absl::StrCat(what, " ", path, ": ",
                      std::system_category().message(errno));
}

// A directory below `parent` for the time of a check; path() is empty where it
// could not be made.
class ScratchDir {
 public:
  explicit ScratchDir(const std::string& parent)
      : path_(parent + "/doctor-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~ScratchDir() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Each as an append to a file that is then flushed; empty where one failed.
std::vector<absl::Duration> MeasureFlushes(const std::string& path,
                                           const Clock& clock) {
  const int fd = open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) return {};
  const std::string page(kFlushBytes, 'x');
  std::vector<absl::Duration> took;
  for (int i = 0; i < kFlushes; ++i) {
    const absl::Duration begun = clock.Steady();
    if (write(fd, page.data(), page.size()) !=
            static_cast<ssize_t>(page.size()) ||
        fdatasync(fd) != 0) {
      took.clear();
      break;
    }
    took.push_back(clock.Steady() - begun);
  }
  close(fd);
  std::sort(took.begin(), took.end());
  return took;
}

Finding CheckRoom(const std::string& state_dir) {
  struct statvfs room = {};
  if (statvfs(state_dir.c_str(), &room) != 0) {
    return Problem("disk", ErrnoText("cannot look at", state_dir),
                   "name a directory that exists with --state-dir");
  }
  const double unit = static_cast<double>(room.f_frsize);
  const double free = static_cast<double>(room.f_bavail) * unit / kGib;
  const double all = static_cast<double>(room.f_blocks) * unit / kGib;
  const std::string says =
      absl::StrFormat("%s has %.1f GiB free of %.1f GiB", state_dir, free, all);
  if (free < kFreeGibMin || free < all * kFreeShareMin) {
    return Problem("disk",
                   says +
                       ", too little: new tasks are refused below 1 GiB or "
                       "5 %",
                   "make room, or move the state with --state-dir");
  }
  return Ok("disk", says);
}

}  // namespace

Finding CheckHardware() {
  utsname system = {};
  uname(&system);
  const double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) *
                        static_cast<double>(sysconf(_SC_PAGESIZE)) / kGib;
  return Ok("machine",
            absl::StrFormat("%d cores, %.1f GiB of memory, %s %s on %s",
                            sysconf(_SC_NPROCESSORS_ONLN), memory,
                            system.sysname, system.release, system.machine));
}

Finding CheckOpenFiles(int streams) {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t need = static_cast<rlim_t>(streams) + kOtherFiles;
  const std::string says =
      absl::StrFormat("a process may open %d files; %d streams need %d",
                      limit.rlim_cur, streams, need);
  if (limit.rlim_cur >= need) return Ok("open files", says);
  return Problem(
      "open files", says,
      limit.rlim_max >= need
          ? absl::StrCat("ulimit -n ", need, " before the worker starts")
          : "raise the hard limit (LimitNOFILE= of a service, or "
            "limits.conf), or start more workers with fewer --jobs");
}

Findings CheckSandbox(const std::string& state_dir) {
  const std::string userns = ReadFile("/proc/sys/user/max_user_namespaces");
  Findings findings;
  if (absl::StripAsciiWhitespace(userns) == "0") {
    findings.push_back(Warning("namespaces", "user namespaces are switched off",
                               "sysctl user.max_user_namespaces=15000"));
  } else {
    findings.push_back(Ok("namespaces", "user namespaces are on"));
  }
  const ScratchDir scratch(state_dir);
  if (scratch.path().empty()) {
    findings.push_back(
        Problem("sandbox", ErrnoText("cannot make a directory in", state_dir),
                "make it writable, or see --state-dir"));
    return findings;
  }
  const absl::Status started =
      harness::Sandbox(harness::SandboxOptions()).Probe(scratch.path());
  findings.push_back(
      started.ok()
          ? Ok("sandbox", "a bubblewrap sandbox starts")
          : Warning("sandbox",
                    absl::StrCat("no sandbox starts: ", started.message()),
                    "the built-in harness needs one; a hosted service does "
                    "not"));
  return findings;
}

Finding CheckSeccomp() {
  const std::string actions =
      ReadFile("/proc/sys/kernel/seccomp/actions_avail");
  if (absl::StrContains(actions, "errno")) {
    return Ok("seccomp", "the kernel filters system calls");
  }
  return Warning("seccomp", "the kernel does not filter system calls",
                 "use a kernel with CONFIG_SECCOMP_FILTER");
}

Finding CheckCgroups() {
  const std::string v2 = ReadFile("/sys/fs/cgroup/cgroup.controllers");
  if (absl::StrContains(v2, "memory") && absl::StrContains(v2, "pids")) {
    return Ok("cgroups", "version 2 with memory and pids");
  }
  return Ok("cgroups",
            "no version 2 with memory and pids; sandboxes are held by limits "
            "on each process, which need none");
}

FlushLatency LatencyOf(const std::vector<absl::Duration>& sorted) {
  return {sorted[sorted.size() / 2], sorted[sorted.size() * 99 / 100]};
}

Findings CheckDisk(const std::string& state_dir, const Clock& clock) {
  Findings findings = {CheckRoom(state_dir)};
  const ScratchDir scratch(state_dir);
  const std::vector<absl::Duration> took =
      scratch.path().empty() ? std::vector<absl::Duration>()
                             : MeasureFlushes(scratch.path() + "/flush", clock);
  if (took.empty()) {
    findings.push_back(Problem("flush", ErrnoText("cannot write in", state_dir),
                               "make it writable, or see --state-dir"));
    return findings;
  }
  const FlushLatency latency = LatencyOf(took);
  const std::string says =
      absl::StrFormat("a durable write takes %.2f ms (p50) to %.2f ms (p99)",
                      absl::ToDoubleMilliseconds(latency.p50),
                      absl::ToDoubleMilliseconds(latency.p99));
  findings.push_back(
      latency.p99 <= kSlowFlush
          ? Ok("flush", says)
          : Warning("flush", says,
                    "each acknowledged step waits for one: put the state on a "
                    "faster disk if many tasks end at a time"));
  return findings;
}

Finding CheckClock(const ClockReading& before, const ClockReading& after) {
  const absl::Duration wall = after.wall - before.wall;
  const absl::Duration steady = after.steady - before.steady;
  constexpr absl::CivilDay kPlausible(2024, 1, 1);
  if (after.wall < absl::FromCivil(kPlausible, absl::UTCTimeZone())) {
    return Problem(
        "clock",
        absl::StrCat("it is set to ",
                     absl::FormatTime(after.wall, absl::UTCTimeZone())),
        "set it, or run a time service");
  }
  if (absl::AbsDuration(wall - steady) > kClockSlack) {
    return Warning(
        "clock",
        absl::StrCat("it was set while this ran: it went ",
                     absl::FormatDuration(wall), " in ",
                     absl::FormatDuration(steady)),
        "let a time service slew it; leases do not depend on it, dates do");
  }
  return Ok("clock", absl::StrCat("wall and steady clock agree over ",
                                  absl::FormatDuration(absl::Trunc(
                                      steady, absl::Milliseconds(1)))));
}

}  // namespace midwatch::cli
