#include "bench/report.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "base/real_clock.h"

namespace midwatch::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFlushes = 200;
constexpr size_t kFlushBytes = 4096;

std::string CpuModel() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

Json Machine() {
  struct utsname name {};
  uname(&name);
  return {{"cores", sysconf(_SC_NPROCESSORS_ONLN)},
          {"cpu", CpuModel()},
          {"kernel", name.release}};
}

std::string FilesystemOf(const std::string& dir) {
  struct statfs info {};
  if (statfs(dir.c_str(), &info) != 0) return "unknown";
  switch (info.f_type) {
    case 0xef53:
      return "ext4";
    case 0x01021994:
      return "tmpfs";
    case 0x58465342:
      return "xfs";
    case 0x9123683e:
      return "btrfs";
    case 0x794c7630:
      return "overlayfs";
    default:
      return absl::StrCat("0x", absl::Hex(info.f_type));
  }
}

double LoadNow() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? load : -1;
}

bool Meets(const Target& target, double value) {
  switch (target.kind) {
    case Target::kAtLeast:
      return value >= target.value;
    case Target::kAtMost:
      return value <= target.value;
    case Target::kNone:
      break;
  }
  return true;
}

std::string Number(double value) {
  if (std::abs(value) >= 1000) return absl::StrFormat("%.0f", value);
  return absl::StrFormat("%.3g", value);
}

std::string TextOf(const Target& target) {
  if (target.kind == Target::kNone) return "-";
  return absl::StrCat(target.kind == Target::kAtLeast ? ">= " : "<= ",
                      Number(target.value));
}

// Four digits, whole numbers whole: a machine this noisy shows no more.
double Rounded(double value) {
  if (std::abs(value) >= 1000) return std::round(value);
  return std::strtod(absl::StrFormat("%.4g", value).c_str(), nullptr);
}

}  // namespace

double Quantile(std::vector<double> values, double q) {
  auto index = static_cast<size_t>(q * static_cast<double>(values.size() - 1));
  auto nth = values.begin() + static_cast<std::ptrdiff_t>(index);
  std::nth_element(values.begin(), nth, values.end());
  return *nth;
}

Spread SpreadOf(std::vector<double> values) {
  auto [min, max] = std::minmax_element(values.begin(), values.end());
  Spread spread{.min = *min, .median = 0, .max = *max};
  spread.median = Quantile(std::move(values), 0.5);
  return spread;
}

FlushLatency ProbeFlush(const std::string& dir) {
  std::string path = dir + "/flush-probe";
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return {};
  std::vector<double> micros;
  const std::string page(kFlushBytes, 'x');
  // The first allocates the block.
  for (int i = 0; i <= kFlushes; ++i) {
    absl::Duration begin = RealClock().Steady();
    if (pwrite(fd, page.data(), page.size(), 0) < 0 || fdatasync(fd) != 0) {
      break;
    }
    if (i == 0) continue;
    micros.push_back(absl::ToDoubleMicroseconds(RealClock().Steady() - begin));
  }
  close(fd);
  unlink(path.c_str());
  if (micros.empty()) return {};
  return {Quantile(micros, 0.5), Quantile(micros, 0.99)};
}

void Report::Begin(const std::string& dir, std::string durability) {
  dir_ = dir;
  durability_ = std::move(durability);
  load_before_ = LoadNow();
  flush_ = ProbeFlush(dir);
}

void Report::Add(Figure figure) {
  Spread spread = SpreadOf(figure.runs);
  bool met = Meets(figure.target, spread.median);
  Json line = {{"name", figure.name},
               {"what", figure.what},
               {"unit", figure.unit},
               {"median", Rounded(spread.median)},
               {"min", Rounded(spread.min)},
               {"max", Rounded(spread.max)},
               {"runs", figure.runs.size()},
               {"durability", durability_},
               {"flush_us",
                {{"p50", Rounded(flush_.p50)}, {"p99", Rounded(flush_.p99)}}},
               {"dir", dir_},
               {"filesystem", FilesystemOf(dir_)},
               {"load_before", load_before_},
               {"machine", Machine()},
               {"commit", commit_}};
  if (figure.target.kind != Target::kNone) {
    line["target"] = TextOf(figure.target);
    line["met"] = met;
  }
  std::printf("%s\n", line.dump().c_str());
  std::fflush(stdout);
  rows_.push_back({std::move(figure), spread, met});
}

void Report::PrintTable() const {
  absl::PrintF("\n%-34s %-9s %9s %9s %9s  %-10s %s\n", "figure", "unit", "min",
               "median", "max", "target", "met");
  for (const Row& row : rows_) {
    const bool bound = row.figure.target.kind != Target::kNone;
    absl::PrintF("%-34s %-9s %9s %9s %9s  %-10s %s\n", row.figure.name,
                 row.figure.unit, Number(row.spread.min),
                 Number(row.spread.median), Number(row.spread.max),
                 TextOf(row.figure.target),
                 !bound ? "-" : (row.met ? "yes" : "no"));
  }
}

}  // namespace midwatch::bench
